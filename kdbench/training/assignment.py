"""What one training is to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdbench.api import Method
from kdbench.spec import Family, Precision, TeacherBias, Track


@dataclass(frozen=True)
class Assignment:
    """What to train, on what, and where the result goes.

    Attributes:
        track: the track as it is run, overrides included.
        role: "student" or "teacher". Students share initialisation and data order within a seed; teachers have streams
            of their own.
        family: of the network to train.
        bias: a teacher's planted bias; None for students.
        seed: the run's random seed.
        method_class: the submission.
        config: an instance of the submission's `Config`.
        teacher_family: of the trained teacher; None if the method uses none.
        teacher_state: tensors of the teacher by name; None if the method uses none.
        folder: where weights, checkpoint and outcome go.
        device: "cpu" or "cuda".
        snapshots: number of weights to keep along the way, at the steps of `snapshot_steps`.
        compiled: run the networks through torch.compile.
        weights_dir: folder of pretrained weights that do not ship; None for the one in the cache.
        command: the command line that asked for the run, for the record.
    """

    track: Track
    role: str
    family: Family
    bias: TeacherBias | None
    seed: int
    method_class: type[Method]
    config: Any
    teacher_family: Family | None
    teacher_state: Mapping[str, Tensor] | None
    folder: Path
    device: str
    snapshots: int = 0
    compiled: bool = False
    weights_dir: Path | None = None
    command: str = ""

    @property
    def epochs(self) -> int:
        """Passes over the training set: teachers and students have their own number."""
        training = self.track.training
        return training.teacher_epochs if self.role == "teacher" else training.student_epochs

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Name of the random stream that decides the order and augmentation of the batches."""
        return (
            "batches",
            self.track.name,
            self.role,
            self.family if self.role == "teacher" else "",
            self.bias or "",
            self.seed,
        )

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    @property
    def precision(self) -> Precision:
        """Of the forward passes."""
        return self.track.training.precision_on(self.device)
