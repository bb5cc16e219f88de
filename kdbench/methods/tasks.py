"""Builds the static facts of a run, with which a method is made. This is the only place that builds them."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from kdbench.api import Shapes, Task
from kdbench.spec import Track


def make_task(
    track: Track,
    train_labels: Tensor,
    *,
    teacher: Shapes | None,
    student: Shapes,
    epochs: int,
    seed: int,
    device: torch.device,
    build: Callable[[Literal["student"]], nn.Module],
) -> Task:
    """Return the task of a method that trains a student of a track for some epochs.

    Args:
        track: of the run.
        train_labels: (N,) int64 labels of the training set.
        teacher: shapes of the teacher's output; None for a method that uses no teacher.
        student: shapes of the student's output.
        epochs: passes over the training set; an epoch drops the images that do not fill a batch.
        seed: of the run.
        device: of images and modules.
        build: makes further networks of the student's architecture.
    """
    num_train = len(train_labels)
    return Task(
        num_classes=track.data.num_classes,
        num_train=num_train,
        train_labels=train_labels,
        teacher=teacher,
        student=student,
        total_steps=epochs * (num_train // track.training.batch_size),
        epochs=epochs,
        seed=seed,
        device=device,
        build=build,
    )
