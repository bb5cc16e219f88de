"""Logit standardisation: Sun, Ren, Li, Wang & Cao (2024), "Logit standardization in knowledge distillation", CVPR,
arXiv:2403.01427.

    L    = a CE(z_s, y) + b T^2 KL(softmax(Z(z_t) / T) || softmax(Z(z_s) / T))
    Z(z) = (z - mean(z)) / sigma(z), over the classes of an image

The student may choose the mean and the spread of its logits; only their form is compared. Gradients flow through both.

The paper's sigma divides by the number of classes C, the authors' code by C - 1, and the code adds 1e-7 to it. With ten
classes this makes sigma 5 % larger. This file follows the code, because the published numbers and the defaults (T = 2,
a = 0.1, b = 9) belong to it.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision, kd_loss

EPSILON = 1e-7  # added to sigma


@full_precision
def standardised(logits: Tensor) -> Tensor:
    """Return (B, C) logits with mean 0 and standard deviation 1 for each image."""
    return (logits - logits.mean(dim=1, keepdim=True)) / (logits.std(dim=1, keepdim=True) + EPSILON)


class LogitStandardisation(Method):
    """Match the teacher's softened probabilities after logits are standardised for each image."""

    name, paper, directions = "zscore", "arXiv:2403.01427", EVERY
    summary = "matches softened class probabilities of logits with mean 0 and deviation 1"
    images = "both networks see the images of the batch as they are"
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`cross_entropy_weight` is a, `distill_weight` b, and `temperature` T of the equations above."""

        cross_entropy_weight: float = 0.1
        distill_weight: float = 9.0
        temperature: float = 2.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("cross_entropy_weight", "distill_weight"), above_zero=("temperature",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        distillation = kd_loss(standardised(student.logits), standardised(teacher.logits), self.config.temperature)
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), self.config.cross_entropy_weight),
            "distillation": Term(distillation, self.config.distill_weight),
        }
