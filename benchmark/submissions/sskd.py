"""Self-supervised distillation: Xu, Liu, Li & Loy (2020), "Knowledge distillation meets self-supervision",
arXiv:2006.07114.

The networks see each image x_i upright and rotated by 90, 180 and 270 degrees (the x~ below, three per sample). A head
h of two layers on the pooled feature f learns from which upright image a rotated one was made:

    A_ij = cos(h(f(x~_i)), h(f(x_j)))                                   3B rotated rows, B upright columns

Stage 1, in `prepare`, trains only the teacher's head, with CE(A^t, the row's own sample). Stage 2 trains the student
and its head, while the teacher and its head are frozen:

    L    = l1 L_ce + l2 L_kd + l3 L_ss + l4 L_T                         .1, .9, 10, 2.7
    L_ce = CE(z^s, y)                                                   upright
    L_kd = T^2 KL(softmax(z^t / T) || softmax(z^s / T))                 upright, T = 4
    L_T  = the same, T = 4, on the rotated rows that are kept           ratio 1
    L_ss = tau^2 KL(softmax_j(A^t / tau) || softmax_j(A^s / tau))       tau = .5, ratio .75

L_T and L_ss keep all rows in which the teacher ranks the truth first. Of the other rows they keep the share `ratio` in
which the teacher ranks the truth best. Both terms are means over the rows kept.

Weights, temperatures, ratios and the head's optimiser are those of the official code (xuguodong03/SSKD), and so is the
objective. Eq. 16 of the paper that this benchmark follows sums a cross-entropy over all 3B rows instead, which would
make l3 = 10 too large by that factor. The ratio applies to L_ss as well as to L_T.

Differences from the official code:

- The harness draws the flip and the crop once per sample for all four views; in the official code each view has its own
  crop.
- Stage 1 sees each image once, as the budget allows; the official code augments it again in each of 60 epochs. The head
  is still trained for 60 epochs, on the teacher's features of that one pass: after one epoch, it would be no better
  than no head.
- The student has the benchmark's optimiser, schedule and gradient clipping. The weighted sum starts far above 1, so SGD
  at .05 would destroy a pretrained student; AdamW is insensitive to the scale.
- Rows of equal rank are kept in order, where the official code leaves the order to the sort. If no row is kept, the
  term is 0.

As in the official code, stage 1 has no temperature, and the student's batch statistics come from all four views, three
quarters of which are rotated, although it is scored on upright images. Seeing rotated images is a treatment of its own,
so a difference from independent is not caused by the teacher alone. The method does not depend on the architectures;
this file offers only the direction of the paper. A step costs four times one of logit matching.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Method, Output, Run, Task, Term

ROTATIONS = 3
HEAD_MOMENTUM, HEAD_WEIGHT_DECAY = 0.9, 5e-4
HEAD_MILESTONES, HEAD_DECAY = (0.5, 0.75), 0.1


class Views(NamedTuple):
    """The outputs of one network for the four views of B samples.

    Attributes:
        upright: (B, C) logits.
        rotated: (3B, C) logits; rows 3i to 3i + 2 are sample i, rotated by 90, 180 and 270 degrees.
        similarity: (3B, B) in [-1, 1], rotated rows against upright columns.
    """

    upright: Tensor
    rotated: Tensor
    similarity: Tensor


def four_views(images: Tensor) -> Tensor:
    """Return (4B, 3, S, S): rows 4i to 4i + 3 are image i, rotated by 0, 90, 180 and 270 degrees."""
    return torch.stack([torch.rot90(images, turns, dims=(2, 3)) for turns in range(ROTATIONS + 1)], dim=1).flatten(0, 1)


def split_views(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Split (4B, D) rows in the order of `four_views` into (B, D) upright and (3B, D) rotated rows."""
    samples = rows.reshape(-1, ROTATIONS + 1, rows.shape[1])
    return samples[:, 0], samples[:, 1:].flatten(0, 1)


def view_similarity(representations: Tensor) -> Tensor:
    """Return A: (3B, B) float32 cosines of rotated with upright rows, from (4B, D) in the order of `four_views`."""
    with torch.autocast(representations.device.type, enabled=False):
        upright, rotated = split_views(F.normalize(representations.float(), dim=1))
        return rotated @ upright.T


def own_samples(similarity: Tensor) -> Tensor:
    """Return, for each row of (3B, B), the column of its own sample: (3B,) int64."""
    return torch.arange(len(similarity), device=similarity.device) // ROTATIONS


def truth_ranks(scores: Tensor, truth: Tensor) -> Tensor:
    """Count the entries of each row of (N, K) above the entry of `truth`, (N,) int64: (N,) int64, where 0 is right."""
    return (scores > scores.gather(1, truth[:, None])).sum(dim=1)


def kept_rows(ranks: Tensor, ratio: float) -> Tensor:
    """Select the rows of rank 0 and, of the W others, the floor(ratio W) rows with the lowest ranks: (N,) bool.

    Among rows of equal rank, the earlier ones are selected.

    Args:
        ranks: (N,) int64, at least 0.
        ratio: in [0, 1].
    """
    wrong = (ranks > 0).sum()
    count = len(ranks) - wrong + (wrong.double() * ratio).long()
    best_first = torch.argsort(ranks, stable=True)
    kept = torch.zeros_like(ranks, dtype=torch.bool)
    kept[best_first] = torch.arange(len(ranks), device=ranks.device) < count
    return kept


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher || student) of each row of (N, K) scores at `temperature`, times its square: (N,) nats.

    No gradient flows to the teacher.
    """
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1) * temperature**2


def selective_kl(student: Tensor, teacher: Tensor, truth: Tensor, *, temperature: float, ratio: float) -> Tensor:
    """Return the mean of `softened_kl` over the rows that the teacher's ranks of the truth keep; 0 if none is kept.

    Args:
        student: (N, K) float.
        teacher: (N, K) float; no gradient flows to it.
        truth: (N,) int64 in [0, K).
        temperature: above 0.
        ratio: in [0, 1], the share of the teacher's wrong rows to keep.
    """
    kept = kept_rows(truth_ranks(teacher, truth), ratio)
    return (softened_kl(student, teacher, temperature) * kept).sum() / kept.sum().clamp(min=1)


def similarity_accuracy(similarity: Tensor) -> Tensor:
    """Return the share of the rows of (3B, B) whose own sample is the most similar; 1 / B for an untrained head."""
    return (truth_ranks(similarity, own_samples(similarity)) == 0).float().mean()


def projection_head(width: int) -> nn.Sequential:
    """Build h: two layers as wide as the feature, (N, width) to (N, width)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


class SelfSupervisedDistillation(Method):
    """Match the teacher's classes, and its similarities between rotated and upright images."""

    name, paper, directions = "sskd", "arXiv:2006.07114", ("vit-to-cnn",)
    summary = "matches classes and image similarities on upright and rotated views (direction as in the paper)"
    images = "both networks see each image of the batch upright and rotated by 90, 180 and 270 degrees"
    needs = frozenset({"logits", "pooled"})
    views = ROTATIONS + 1

    @dataclass(frozen=True)
    class Config:
        """The weights l1, l2, l3, l4; temperatures T, T, tau; shares of wrong rows kept; epochs and rate of stage 1."""

        cross_entropy_weight: float = 0.1
        distill_weight: float = 0.9
        similarity_weight: float = 10.0
        rotated_weight: float = 2.7
        temperature: float = 4.0
        rotated_temperature: float = 4.0
        similarity_temperature: float = 0.5
        rotated_ratio: float = 1.0
        similarity_ratio: float = 0.75
        head_epochs: int = 60
        head_learning_rate: float = 0.05

        def __post_init__(self) -> None:
            for name, value in vars(self).items():
                if name.endswith("_weight") and not value >= 0:
                    raise ValueError(f"{name} must not be negative, got {value}")
                if name.endswith(("temperature", "_rate")) and not value > 0:
                    raise ValueError(f"{name} must be above 0, got {value}")
                if name.endswith("_ratio") and not 0 <= value <= 1:
                    raise ValueError(f"{name} must lie in [0, 1], got {value}")
            if not self.head_epochs >= 1:
                raise ValueError(f"head_epochs must be 1 or more, got {self.head_epochs}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        self.teacher_head = projection_head(task.teacher.pooled)
        self.student_head = projection_head(task.student.pooled)
        self._head_optimizer = torch.optim.SGD(
            self.teacher_head.parameters(),
            lr=config.head_learning_rate,
            momentum=HEAD_MOMENTUM,
            weight_decay=HEAD_WEIGHT_DECAY,
        )

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Give the teacher's head an optimiser that only `prepare` calls, so that nothing trains the head later."""
        return {"teacher_head": self._head_optimizer}

    def prepare(self, run: Run) -> None:
        """Run stage 1: train the teacher's head to find a rotated image's own sample, and log its accuracy at the end.

        Keeps the features (N, 4, F) of the N images of one pass in memory.
        """
        batches, epochs = self.task.total_steps // self.task.epochs, self.config.head_epochs
        features = torch.cat([self._teacher_features(run, batch) for batch in run.batches(batches)])
        milestones = [int(share * epochs * batches) for share in HEAD_MILESTONES]
        schedule = torch.optim.lr_scheduler.MultiStepLR(self._head_optimizer, milestones, HEAD_DECAY)
        for epoch in range(epochs):
            order = torch.randperm(len(features)).view(batches, -1).to(features.device)
            for samples in order:
                similarity = self._train_head(features[samples].flatten(0, 1))
                schedule.step()
                if epoch == epochs - 1:
                    run.log(stage1_head_accuracy=similarity_accuracy(similarity))

    def _teacher_features(self, run: Run, batch: Batch) -> Tensor:
        """Return the teacher's features of a batch's four views, (B, 4, F)."""
        pooled = run.teacher_forward(four_views(batch.images)).pooled
        return pooled.view(len(batch.images), ROTATIONS + 1, -1)

    def _train_head(self, features: Tensor) -> Tensor:
        """Train the teacher's head for one step on (4B, F) features; return the previous (3B, B) similarities."""
        similarity = view_similarity(self.teacher_head(features))
        self._head_optimizer.zero_grad()
        F.cross_entropy(similarity, own_samples(similarity)).backward()  # type: ignore[no-untyped-call]
        self._head_optimizer.step()
        return similarity.detach()

    def step(self, run: Run, batch: Batch) -> None:
        images = four_views(batch.images)
        with torch.no_grad():
            teacher = self._views(run.teacher_forward(images), self.teacher_head)
        student = self._views(run.student_forward(images), self.student_head)
        run.log(
            teacher_head_accuracy=similarity_accuracy(teacher.similarity),
            student_head_accuracy=similarity_accuracy(student.similarity),
        )
        run.backward_and_step(self.terms(student, teacher, batch.labels))

    def _views(self, output: Output, head: nn.Module) -> Views:
        return Views(*split_views(output.logits), view_similarity(head(output.pooled)))

    def terms(self, student: Views, teacher: Views, labels: Tensor) -> dict[str, Term]:
        """Return L_ce, L_kd, L_ss and L_T with their weights, for B samples with `labels` (B,) int64."""
        config = self.config
        cross_entropy = F.cross_entropy(student.upright, labels)
        distillation = softened_kl(student.upright, teacher.upright, config.temperature).mean()
        similarity_distillation = selective_kl(
            student.similarity,
            teacher.similarity,
            own_samples(teacher.similarity),
            temperature=config.similarity_temperature,
            ratio=config.similarity_ratio,
        )
        rotated_distillation = selective_kl(
            student.rotated,
            teacher.rotated,
            labels.repeat_interleave(ROTATIONS),
            temperature=config.rotated_temperature,
            ratio=config.rotated_ratio,
        )
        return {
            "cross_entropy": Term(cross_entropy, config.cross_entropy_weight),
            "distillation": Term(distillation, config.distill_weight),
            "similarity_distillation": Term(similarity_distillation, config.similarity_weight),
            "rotated_distillation": Term(rotated_distillation, config.rotated_weight),
        }
