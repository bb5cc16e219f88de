"""Logit matching with the answers exchanged within each class: an image gets the teacher's answer to another one.

    L = (1 - a) CE(z_s(x), y) + a T^2 KL(softmax(z_t(x') / T) || softmax(z_s(x) / T)),  x' of the batch, of class y

The student sees how soft the teacher's answers are and which classes it confuses, but not how it sees an image. What
`lm` has and this arm has not therefore comes from answers to single images. T = 4 and a = 0.9 are those of `lm`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term
from kdbench.blocks import kd_loss

TEMPERATURE, DISTILL_WEIGHT = 4.0, 0.9


def next_of_its_class(labels: Tensor) -> Tensor:
    """Return for each image the position of the next image of its class in the batch; the last one gets the first.

    Args:
        labels: (B,) int64.

    Returns:
        (B,) int64, a permutation of the batch. An image without another one of its class keeps its own position.
    """
    order = torch.argsort(labels, stable=True)
    by_class = labels[order]
    following = torch.arange(1, len(labels) + 1, device=labels.device)
    first = torch.searchsorted(by_class, by_class)
    end = torch.searchsorted(by_class, by_class, right=True)
    positions = torch.empty_like(order)
    positions[order] = order[torch.where(following < end, following, first)]
    return positions


class ShuffledLogitMatching(Method):
    """Match the teacher's softened class probabilities for another image of the same class."""

    name, paper, directions = "lm-shuffled", "", EVERY
    summary = "lm with the teacher's answer to another image of the class"

    @dataclass(frozen=True)
    class Config:
        pass

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        answers = teacher.logits[next_of_its_class(batch.labels)]
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), 1 - DISTILL_WEIGHT),
            "distillation": Term(kd_loss(student.logits, answers, TEMPERATURE), DISTILL_WEIGHT),
        }
