"""DeiT: Touvron, Cord, Douze, Massa, Sablayrolles & Jegou (2021), "Training data-efficient image transformers and
distillation through attention", ICML, arXiv:2012.12877.

    L = (1 - a) CE(z_s, y) + a CE(z_dist, argmax z_t)                            hard labels
    L = (1 - a) CE(z_s, y) + a T^2 KL(softmax(z_t / T) || softmax(z_dist / T))   soft labels

z_s are the student's ordinary logits. One more linear layer on the vector that the classifier reads gives z_dist.

Departures from the paper and its code:

- The student has no distillation token, because every method here trains the same network: z_dist comes from the class
  token. The layer is discarded after training, and only z_s is scored, not the mean of both.
- With soft labels, the authors' code divides the divergence by B C, the paper by B. This file follows the paper.
- Mixup, cutmix and label smoothing belong to the official recipe. Here the harness sets the recipe, for all methods.

Defaults are the paper's: hard labels, and a = 0.5. It uses T = 3 and a = 0.1 with soft labels. It teaches ViTs with
CNNs; for a CNN as the student, both classifiers read the global average.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Task, Term
from kdbench.blocks import check_numbers, kd_loss

Labels = Literal["hard", "soft"]


def deit_loss(z_dist: Tensor, teacher_logits: Tensor, labels: Labels, temperature: float) -> Tensor:
    """Return the second part of L, for (B, C) logits; no gradient flows to the teacher's.

    Args:
        z_dist, teacher_logits: (B, C) float.
        labels: the teacher's best class ("hard"), or its probabilities ("soft").
        temperature: above 0; unused with hard labels.
    """
    if labels == "hard":
        return F.cross_entropy(z_dist, teacher_logits.argmax(dim=1))
    return kd_loss(z_dist, teacher_logits, temperature)


class DataEfficient(Method):
    """Train a second classifier on the teacher's predictions, and the first on the labels."""

    name, paper, directions, beyond_paper = "deit", "arXiv:2012.12877", ("cnn-to-vit",), ("vit-to-cnn",)
    summary = "a second classifier matches the teacher's predictions, the first the labels"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled"})
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`distill_weight` is a, and `temperature` T of the equations above."""

        distill_weight: float = 0.5
        labels: Labels = "hard"
        temperature: float = 3.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("distill_weight",), above_zero=("temperature",))
            if self.distill_weight > 1:
                raise ValueError(f"distill_weight must lie in [0, 1], got {self.distill_weight}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.head = nn.Linear(task.student.pooled, task.num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)  # as DeiT initialises its heads
        nn.init.zeros_(self.head.bias)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        config = self.config
        distillation = deit_loss(self.head(student.pooled), teacher.logits, config.labels, config.temperature)
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), 1 - config.distill_weight),
            "distillation": Term(distillation, config.distill_weight),
        }
