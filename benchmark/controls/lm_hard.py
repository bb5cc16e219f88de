"""Logit matching with hard answers: only the class that the teacher prefers, as in Touvron et al. (2021), eq. 3.

    L = (1 - a) CE(z_s, y) + a CE(z_s, argmax_c z_t)

Source of the second term: DeiT, arXiv:2012.12877. The weight a = 0.9 is that of `lm`, so the two differ in the softness
of the teacher's answers alone.
"""

from dataclasses import dataclass

from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term


class HardLogitMatching(Method):
    """Match the class that the teacher prefers."""

    name, paper, directions = "lm-hard", "arXiv:2012.12877", EVERY
    summary = "matches the teacher's preferred class"
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        distill_weight: float = 0.9

        def __post_init__(self) -> None:
            if not 0 <= self.distill_weight <= 1:
                raise ValueError(f"distill_weight must lie in [0, 1], got {self.distill_weight}")

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        weight = self.config.distill_weight
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), 1 - weight),
            "distillation": Term(F.cross_entropy(student.logits, teacher.logits.argmax(dim=1)), weight),
        }
