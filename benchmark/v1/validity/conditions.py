"""Trains networks of the synthetic track for the validity study and the choice of saliences, apart from any plan."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kdbench.api import Method
from kdbench.data import synthetic
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.evaluation.answers import load_network, logits_of
from kdbench.networks.models import read_weights
from kdbench.records import WEIGHTS
from kdbench.spec import Family, TeacherBias, Track
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from kdbench.training.teacher import Supervised


@dataclass(frozen=True)
class Network:
    """A trained network: its family and the folder of its weights."""

    family: Family
    folder: Path


def fit(
    track: Track,
    family: Family,
    data: TrainingSet,
    *,
    seed: int,
    role: str = "student",
    bias: TeacherBias | None = None,
    method: type[Method] = Supervised,
    config: object = None,
    teacher: Network | None = None,
    folder: Path | None = None,
) -> Network:
    """Train one network with the track's budget, unless `folder` already has its weights.

    Raises:
        RuntimeError: the training failed.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="kdbench-validity-"))
    if (folder / WEIGHTS).exists():
        return Network(family, folder)
    folder.mkdir(parents=True, exist_ok=True)
    assignment = Assignment(
        track=track,
        role=role,
        family=family,
        bias=bias,
        seed=seed,
        method_class=method,
        config=config or method.Config(),
        teacher_family=teacher.family if teacher else None,
        teacher_state=read_weights(teacher.folder / WEIGHTS) if teacher else None,
        folder=folder,
        device="cpu",
    )
    outcome = train(assignment, data, _silent)
    if outcome.status != "ok":
        raise RuntimeError(f"{family} {bias} seed {seed}: {outcome.status}, {outcome.reason}")
    return Network(family, folder)


def student_set(track: Track, seed: int) -> TrainingSet:
    """Return the training set of students, as runs draw it."""
    return training_set(track, role="student", bias=None, seed=seed, source=None)


def teacher_set(track: Track, bias: TeacherBias, seed: int) -> TrainingSet:
    """Return the training set of a teacher, as runs draw it."""
    return training_set(track, role="teacher", bias=bias, seed=seed, source=None)


def _silent(done: int, total: int) -> None:
    """Show no progress."""


def predicted(track: Track, network: Network, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the (n,) classes that a network predicts."""
    cpu = torch.device("cpu")
    loaded = load_network(track, network.family, network.folder / WEIGHTS, cpu)
    classes: NDArray[np.int64] = logits_of(loaded, images, track.data, cpu).argmax(axis=1)
    return classes


def shares(track: Track, network: Network, sets: Mapping[str, synthetic.Drawn]) -> dict[str, float]:
    """Return the accuracy on every condition and, for cue-conflict, the shares by shape and by texture."""
    result = {}
    for name, drawn in sets.items():
        label = predicted(track, network, drawn.images)
        if name == "cue-conflict":
            result["by shape"] = float((label == drawn.shapes).mean())
            result["by texture"] = float((label == drawn.textures).mean())
        else:
            result[name] = float((label == drawn.labels).mean())
    return result
