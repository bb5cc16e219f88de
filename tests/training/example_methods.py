"""Methods that show the whole contract in few lines: a peer, a moving average, a teacher's classifier, mixed images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Run, Task, Term


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of (B, C) logits, the mean over the batch; no gradient flows to the teacher."""
    targets = F.log_softmax(teacher.detach(), dim=1)
    return F.kl_div(F.log_softmax(student, dim=1), targets, reduction="batchmean", log_target=True)


class MutualLearning(Method):
    """Deep mutual learning: Zhang et al. (2018), arXiv:1706.00384, eqs. 5 and 6, with one peer."""

    name, paper, directions = "dml", "arXiv:1706.00384", EVERY
    summary = "trains with a peer, each of them on labels and on the answers of the other"
    uses_teacher = False

    @dataclass(frozen=True)
    class Config:
        pass

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.peer = task.build("student")

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        peer = self.peer(batch.images)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "peer_cross_entropy": F.cross_entropy(peer.logits, batch.labels),
            "from_peer": divergence(student.logits, peer.logits),
            "to_peer": divergence(peer.logits, student.logits),
        }


class MeanTeacher(Method):
    """Mean teacher: Tarvainen & Valpola (2017), arXiv:1703.01780, without noise."""

    name, paper, directions = "mean-teacher", "arXiv:1703.01780", EVERY
    summary = "agrees with the moving average of itself, once half of the epochs are over"
    uses_teacher = False

    @dataclass(frozen=True)
    class Config:
        decay: float = 0.9

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.ema_decay = config.decay

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        average = self.run.ema_forward(batch.images)
        weight = 1.0 if self.run.progress >= 0.5 else 0.0
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "consistency": Term(F.mse_loss(student.logits.softmax(1), average.logits.softmax(1)), weight),
        }


class ReusedClassifier(Method):
    """SimKD: Chen et al. (2022), arXiv:2203.14001, in which the teacher's classifier reads projected features."""

    name, paper, directions = "reused-classifier", "arXiv:2203.14001", EVERY
    summary = "makes projected features useful to the teacher's classifier"
    needs = frozenset({"pooled", "classifier"})

    @dataclass(frozen=True)
    class Config:
        pass

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        self.projector = nn.Linear(task.student.pooled, task.teacher.pooled)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        projected = self.projector(student.pooled)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "through_teacher": F.cross_entropy(teacher.classifier(projected), batch.labels),
            "features": F.mse_loss(projected, teacher.pooled),
        }


class Mixup(Method):
    """Mixup: Zhang et al. (2018), arXiv:1710.09412, with one share per batch."""

    name, paper, directions = "mixup", "arXiv:1710.09412", EVERY
    summary = "learns from mixtures of two images"
    images = "the student sees mixtures of two images of the batch"
    uses_teacher = False

    @dataclass(frozen=True)
    class Config:
        pass

    def step(self, run: Run, batch: Batch) -> None:
        share = torch.rand((), device=batch.images.device)
        images = share * batch.images + (1 - share) * batch.images.flip(0)
        logits = run.student_forward(images).logits
        first, second = (F.cross_entropy(logits, labels) for labels in (batch.labels, batch.labels.flip(0)))
        run.backward_and_step({"cross_entropy": share * first + (1 - share) * second})


EXAMPLES: tuple[type[Method], ...] = (MutualLearning, MeanTeacher, ReusedClassifier, Mixup)
