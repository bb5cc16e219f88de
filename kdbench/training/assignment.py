"""The description of one training."""

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
    """What a training trains, on which data and device, and where it writes the result.

    Attributes:
        track: with all overrides.
        role: "student" or "teacher". All students of a seed share initialisation and data order; each teacher has its
            own.
        family: of the network to train.
        bias: a teacher's planted bias; None for students.
        seed: the run's random seed.
        method_class: the submission.
        config: an instance of the submission's `Config`.
        teacher_family: of the trained teacher; None if the method uses none.
        teacher_state: tensors of the teacher by name; None if the method uses none.
        folder: for weights, checkpoint and outcome.
        device: "cpu" or "cuda".
        snapshots: number of times to keep the weights, at the steps of `snapshot_steps`.
        compiled: whether to run the networks through torch.compile.
        weights_dir: folder of pretrained weights that are not shipped; None for the folder in the cache.
        command: the command line, for the record.
        stop_at: reading of `time.monotonic` at which the training saves a checkpoint and stops; None for never.
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
    stop_at: float | None = None

    @property
    def epochs(self) -> int:
        """Passes over the training set; the number may differ between teachers and students."""
        training = self.track.training
        return training.teacher_epochs if self.role == "teacher" else training.student_epochs

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Name of the random stream that determines the order and augmentation of the batches."""
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
        """The precision of the forward passes."""
        return self.track.training.precision_on(self.device)
