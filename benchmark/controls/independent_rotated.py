"""The independent student on the views of `sskd`: each image upright and rotated by 90, 180 and 270 degrees.

    L = CE(z_s(x), y) + mean over the rotated views x~ of CE(z_s(x~), y)

Rotations by themselves can change a student's bias. This control has the rotations without a teacher. As in `sskd`, the
four views pass through the student together, so its batch statistics are those of all four.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Method, Run

TURNS = (1, 2, 3)  # quarters of a full turn


def upright_and_rotated(images: Tensor) -> Tensor:
    """Return (4B, 3, S, S): the B images upright, then rotated by 90, by 180 and by 270 degrees."""
    return torch.cat([images, *(torch.rot90(images, turns, dims=(2, 3)) for turns in TURNS)])


class IndependentRotated(Method):
    """Train with cross-entropy on upright and on rotated images, with the same labels."""

    name, paper = "independent-rotated", ""
    directions = EVERY
    summary = "independent on upright and rotated views, those of sskd"
    images = "the student sees each image of the batch upright and rotated by 90, 180 and 270 degrees"
    uses_teacher = False
    views = len(TURNS) + 1

    @dataclass(frozen=True)
    class Config:
        pass

    def step(self, run: Run, batch: Batch) -> None:
        logits = run.student_forward(upright_and_rotated(batch.images)).logits
        upright, rotated = logits[: len(batch.labels)], logits[len(batch.labels) :]
        run.backward_and_step(
            {
                "cross_entropy": F.cross_entropy(upright, batch.labels),
                "rotated_cross_entropy": F.cross_entropy(rotated, batch.labels.repeat(len(TURNS))),
            }
        )
