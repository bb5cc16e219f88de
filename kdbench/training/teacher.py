"""The training of teachers: cross-entropy on their own training set."""

from dataclasses import dataclass

from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output
from kdbench.spec import TEACHER


class Supervised(Method):
    """L = CE(z, y) on the labels of the teacher's law."""

    name, paper = TEACHER, ""
    summary = "trained on labels that follow the planted cue (or on the data set's own)"
    directions = ("cnn-to-vit", "vit-to-cnn", "cnn-to-cnn", "vit-to-vit")
    uses_teacher = False

    @dataclass(frozen=True)
    class Config:
        pass

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:  # noqa: ARG002
        return {"cross_entropy": F.cross_entropy(student.logits, batch.labels)}
