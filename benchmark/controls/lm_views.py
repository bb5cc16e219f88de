"""Logit matching on the views of `sskd`: each image upright and rotated by 90, 180 and 270 degrees.

    L = (1 - a) CE(z_s(x), y) + a T^2 mean over the four views x~ of KL(softmax(z_t(x~) / T) || softmax(z_s(x~) / T))

Without its term on similarities, `sskd` is nearly this method; the difference between the two is what that term brings.
T = 4 and a = 0.9 are those of `lm`. As in `sskd`, the four views pass through a network together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Method, Run, Term

TURNS = (1, 2, 3)  # quarters of a full turn


def upright_and_rotated(images: Tensor) -> Tensor:
    """Return (4B, 3, S, S): the B images upright, then rotated by 90, by 180 and by 270 degrees."""
    return torch.cat([images, *(torch.rot90(images, turns, dims=(2, 3)) for turns in TURNS)])


class LogitMatchingOnViews(Method):
    """Match the teacher's softened class probabilities on upright and on rotated images."""

    name, paper, directions = "lm-views", "", EVERY
    summary = "lm on upright and rotated views, those of sskd"
    images = "both networks see each image of the batch upright and rotated by 90, 180 and 270 degrees"
    views = len(TURNS) + 1

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

    def step(self, run: Run, batch: Batch) -> None:
        views = upright_and_rotated(batch.images)
        teacher, student = run.teacher_forward(views).logits, run.student_forward(views).logits
        temperature, weight = self.config.temperature, self.config.distill_weight
        divergence = F.kl_div(
            F.log_softmax(student.float() / temperature, dim=1),
            F.log_softmax(teacher.detach().float() / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        run.backward_and_step(
            {
                "cross_entropy": Term(F.cross_entropy(student[: len(batch.labels)], batch.labels), 1 - weight),
                "distillation": Term(temperature**2 * divergence, weight),
            }
        )
