"""CSKD: Zhao, Song & Liang (2023), "Cumulative Spatial Knowledge Distillation for Vision Transformers", ICCV,
arXiv:2307.08500.

    L      = (1 - a) CE(z_cls, y) + a L_deit + gamma L_cskd
    L_deit = CE(z_dist, argmax_c z_t_glob)
    L_cskd = CE(z_dense, y_hat), the mean over images and positions
    y_hat  = argmax_c [alpha_t z_t_dense + (1 - alpha_t) z_t_glob] at every position

z_t_dense are the logits of the teacher's own classifier at every position of its last map. Their mean over positions is
z_t_glob, the teacher's ordinary logits. z_cls are the student's ordinary logits. One more linear layer, head_dist, maps
the class token to z_dist, and every patch token to logits that are averaged to the teacher's grid, z_dense. alpha_t
falls with the epoch e of E, so the student first learns local and later global targets: 1 - e/E (`linear`), its square
(`x2`) or cos(pi e / 2E) (`cos`). Defaults are those of the three official configurations: a = 0.5, gamma = 1, hard
labels, linear.

Departures from the paper and its code:

- The student has no distillation token, because every method here trains the same network: z_dist = head_dist(CLS).
- head_dist is discarded after training, and only z_cls is scored. The official model predicts with the mean of z_cls,
  z_dist and the mean of z_dense; the accuracy of that mean in training is logged as `train_accuracy_three_heads`.
- With soft labels both losses are T^2 KL(teacher || student), summed over classes and averaged over images and
  positions. The official code divides L_deit by B C and L_cskd by B: on 49 positions and 10 classes, L_cskd has 490
  times the weight for the same divergence.
- Grids may have any size; the official code supports only 14 x 14 tokens on 7 x 7 positions.
- Mixup, cutmix and averaged weights belong to the official recipe. Here the harness sets the recipe, for all methods.

The paper that this benchmark follows prints z_t_dense and z_t_glob swapped in its eq. 8, which contradicts its own
text; this file goes from local to global. The alpha of its eq. 6 is the constant `a` here, not alpha_t.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Run, Task, Term

Decay = Literal["linear", "x2", "cos"]
Labels = Literal["hard", "soft"]


def dense_share(decay: Decay, epoch: int, epochs: int) -> float:
    """Return alpha_t, the share of the dense logits in the target; it falls from 1 in epoch 0 to 0 at `epochs`."""
    done = epoch / epochs
    if decay == "cos":
        return math.cos(math.pi * done / 2)
    return (1 - done) ** (2 if decay == "x2" else 1)


def fused_logits(dense: Tensor, alpha_t: float) -> Tensor:
    """Mix the teacher's logits at every position with their mean over positions, which has the share 1 - `alpha_t`.

    Args:
        dense: (B, C, h, w) float.
        alpha_t: in [0, 1].

    Returns:
        (B, C, h, w) float.
    """
    dense = dense.float()
    return alpha_t * dense + (1 - alpha_t) * dense.mean(dim=(2, 3), keepdim=True)


def matching_loss(student: Tensor, teacher: Tensor, labels: Labels, temperature: float) -> Tensor:
    """Return the loss of the student against the teacher's predictions, the mean over images and positions.

    Args:
        student, teacher: logits, (B, C) or (B, C, h, w); no gradient flows to the teacher.
        labels: cross-entropy with the teacher's best class ("hard"), or KL(teacher || student) times the squared
            temperature ("soft").
        temperature: above 0; divides both logits if labels are soft, and is unused if they are hard.

    Returns:
        Scalar, nats.
    """
    if labels == "hard":
        return F.cross_entropy(student.float(), teacher.argmax(dim=1))
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1)
    return divergence.mean() * temperature**2


class CumulativeSpatial(Method):
    """Train patch tokens on the teacher's predictions at their positions, which become global over the epochs."""

    name, paper, directions = "cskd", "arXiv:2307.08500", ("cnn-to-vit",)
    summary = "patch tokens match the teacher's classes at their places, later those of the whole image"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled", "feature_map", "dense_logits"})
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`deit_weight` is the paper's a, `cskd_weight` its gamma, and `temperature` its tau."""

        deit_weight: float = 0.5
        cskd_weight: float = 1.0
        deit_labels: Labels = "hard"
        cskd_labels: Labels = "hard"
        temperature: float = 1.0
        decay: Decay = "linear"

        def __post_init__(self) -> None:
            if not 0 <= self.deit_weight <= 1:
                raise ValueError(f"deit_weight must lie in [0, 1], got {self.deit_weight}")
            if not 0 <= self.cskd_weight < math.inf:
                raise ValueError(f"cskd_weight must be a number from 0, got {self.cskd_weight}")
            if not 0 < self.temperature < math.inf:
                raise ValueError(f"temperature must be a number above 0, got {self.temperature}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        teacher, student = task.teacher.feature_map, task.student.feature_map
        if teacher[1] > student[1] or teacher[2] > student[2]:
            raise ValueError(
                f"the teacher's grid {teacher[1:]} is finer than the student's {student[1:]}, so that tokens cannot be"
                " averaged to it; choose a student with smaller patches"
            )
        self.grid = teacher[1:]
        self.head_dist = nn.Linear(student[0], task.num_classes)
        nn.init.trunc_normal_(self.head_dist.weight, std=0.02)  # as DeiT initialises its heads
        nn.init.zeros_(self.head_dist.bias)
        self.alpha_t = 1.0

    def step(self, run: Run, batch: Batch) -> None:
        self.alpha_t = dense_share(self.config.decay, run.epoch, self.task.epochs)
        teacher, student = run.teacher_forward(batch.images), run.student_forward(batch.images)
        run.log(**self.accuracies(student, batch.labels))
        run.backward_and_step(self.loss(batch, student, teacher))

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        config = self.config
        z_dist, z_dense = self.distilled_logits(student)
        fused = fused_logits(teacher.dense_logits, self.alpha_t)
        deit = matching_loss(z_dist, teacher.logits, config.deit_labels, config.temperature)
        cskd = matching_loss(z_dense, fused, config.cskd_labels, config.temperature)
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), 1 - config.deit_weight),
            "deit": Term(deit, config.deit_weight),
            "cskd": Term(cskd, config.cskd_weight),
        }

    def distilled_logits(self, student: Output) -> tuple[Tensor, Tensor]:
        """Return z_dist (B, C), and z_dense (B, C, h, w) on the teacher's grid.

        If the student's grid is a multiple of the teacher's, this is plain average pooling.
        """
        at_patches = self.head_dist(student.feature_map.movedim(1, -1)).movedim(-1, 1)
        return self.head_dist(student.pooled), F.adaptive_avg_pool2d(at_patches, self.grid)

    @torch.no_grad()
    def accuracies(self, student: Output, labels: Tensor) -> dict[str, Tensor]:
        """Return the accuracy of z_cls, and of the official model: the mean of z_cls, z_dist and averaged z_dense."""
        z_dist, z_dense = self.distilled_logits(student)
        answers = {"": student.logits, "_three_heads": student.logits + z_dist + z_dense.mean(dim=(2, 3))}
        return {
            f"train_accuracy{heads}": (logits.argmax(dim=1) == labels).float().mean()
            for heads, logits in answers.items()
        }
