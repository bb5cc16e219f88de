"""Label smoothing: Szegedy et al. (2016), "Rethinking the Inception architecture", arXiv:1512.00567, section 7.

    L = CE(z_s, (1 - e) onehot(y) + e / C)

This control has soft targets without a teacher, and shows the effect of softness alone. e = 0.1 is the paper's value.
"""

from dataclasses import dataclass

from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output


class LabelSmoothing(Method):
    """Train the independent student on softened labels."""

    name, paper = "label-smoothing", "arXiv:1512.00567"
    directions = EVERY
    summary = "independent on labels that are a tenth uniform"
    images = "the student sees the images of the batch as they are"
    uses_teacher = False
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        smoothing: float = 0.1

        def __post_init__(self) -> None:
            if not 0 <= self.smoothing < 1:
                raise ValueError(f"smoothing must lie in [0, 1), got {self.smoothing}")

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:  # noqa: ARG002
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels, label_smoothing=self.config.smoothing),
        }
