"""Trains networks of the synthetic track for its gates and its validity study, apart from any plan."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kdbench.api import Method
from kdbench.data import synthetic
from kdbench.data.training_sets import TrainingSet, saliences_of, training_set
from kdbench.evaluation.answers import load_network, logits_of
from kdbench.networks.models import read_weights
from kdbench.records import WEIGHTS
from kdbench.spec import Family, TeacherBias, Track
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from kdbench.training.teacher import Supervised

SEEDS = (1000, 1001, 1002, 1003, 1004)  # of tuning, one for each pair of backbones
WORK = Path("runs") / "validity"  # folder of the trained networks


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


def single_cue_set(track: Track, cue: TeacherBias, seed: int) -> TrainingSet:
    """Draw images with a single cue: shapes with neutral fill, or textures in blobs."""
    tables, count = synthetic.shipped_tables(), track.data.num_train
    draws = synthetic.SceneDraws(tables, "synthetic", "single-cue", cue, seed, first=0, count=count)
    labels = np.arange(count) % track.data.num_classes
    if cue == "shape":
        scenes = draws.scenes(draws.shape_mask(labels), draws.neutral_fill())
    else:
        scenes = draws.scenes(draws.blob_mask(), draws.texture_fill(labels, "train"))
    return TrainingSet(images=synthetic.render(tables, scenes, saliences_of(track)), labels=labels)


def _silent(done: int, total: int) -> None:
    """Show no progress."""


def predicted(track: Track, network: Network, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the (n,) classes that a network predicts."""
    cpu = torch.device("cpu")
    loaded = load_network(track, network.family, network.folder / WEIGHTS, cpu)
    classes: NDArray[np.int64] = logits_of(loaded, images, track.data, cpu).argmax(axis=1)
    return classes
