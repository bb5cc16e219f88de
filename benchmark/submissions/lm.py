"""Logit matching: Hinton, Vinyals & Dean (2015), "Distilling the knowledge in a neural network", arXiv:1503.02531.

    L = (1 - a) CE(z_s, y) + a T^2 KL(softmax(z_t / T) || softmax(z_s / T))

The factor T^2 keeps the size of the gradient independent of T. The defaults T = 4 and a = 0.9 are those of RepDistiller
and mdistiller. The paper that this benchmark follows states neither.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher || student) at `temperature`, times its square, as the mean over the batch.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        temperature: above 0; divides both logits.

    Returns:
        Scalar, nats.
    """
    student = F.log_softmax(student_logits.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


class LogitMatching(Method):
    """Match the teacher's softened class probabilities."""

    name, paper, directions = "lm", "arXiv:1503.02531", EVERY
    summary = "matches the teacher's softened class probabilities"
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        temperature: float = 4.0
        distill_weight: float = 0.9

        def __post_init__(self) -> None:
            if not self.temperature > 0:
                raise ValueError(f"temperature must be above 0, got {self.temperature}")
            if not 0 <= self.distill_weight <= 1:
                raise ValueError(f"distill_weight must lie in [0, 1], got {self.distill_weight}")

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        weight = self.config.distill_weight
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), 1 - weight),
            "distillation": Term(kd_loss(student.logits, teacher.logits, self.config.temperature), weight),
        }
