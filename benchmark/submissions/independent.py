"""The student trained alone, with cross-entropy and the budget of every distilled run: the zero of all comparisons."""

from dataclasses import dataclass

from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output


class Independent(Method):
    """Train without a teacher: L = CE(z_s, y)."""

    name, paper = "independent", ""
    directions = EVERY
    summary = "trained on the labels alone, without a teacher"
    images = "the student sees the images of the batch as they are"
    uses_teacher = False
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        pass

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:  # noqa: ARG002
        return {"cross_entropy": F.cross_entropy(student.logits, batch.labels)}
