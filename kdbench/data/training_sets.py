"""Returns the images on which a teacher or a student is trained."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as memoised
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from kdbench.data import synthetic
from kdbench.data.array_types import AnyArray, Images, Integers
from kdbench.data.cifar10 import Cifar10
from kdbench.data.made_once import made_once
from kdbench.errors import DataError, InputError
from kdbench.resources import PACKAGE, shipped
from kdbench.spec import TeacherBias, Track

# That the cache keeps. Those of five seeds are 15 to 20, of 9 MB each on `synthetic` and 92 MB on `synthetic-long`.
MOST_SETS: Final = 32

Stream = tuple[str | int, ...]

FOLDER: Final = ("shared", "training-sets")  # below the cache


@dataclass(frozen=True)
class TrainingSet:
    """Training images, (N, H, W, 3) uint8, and their labels, (N,) int64 in [0, num_classes)."""

    images: Images
    labels: Integers

    def __len__(self) -> int:
        return len(self.labels)


def training_set(
    track: Track,
    *,
    role: Literal["teacher", "student"],
    bias: TeacherBias | None,
    seed: int,
    source: Cifar10 | None,
) -> TrainingSet:
    """Return the training set of a run.

    On a synthetic track, each role, bias and seed draws its own images: those of a planted teacher follow the law of
    its dose, and those of a student or a natural teacher follow the neutral law. Both families draw the same images, so
    two natural teachers of a seed differ in their architecture alone. On a CIFAR track, all networks train on the same
    images: a balanced subset of the source, or all of it.

    Args:
        track: of the spec.
        role: whether a teacher or a student is trained on the images.
        bias: of a teacher; ignored for students.
        seed: the run's seed.
        source: CIFAR-10; None on a synthetic track.

    Raises:
        DataError: the source is missing, or has fewer images than the spec asks for.
        InputError: a teacher on a synthetic track has no bias.
    """
    count = track.data.num_train
    if track.data.source == "synthetic":
        stream, dose = _law(track, role, bias, seed)
        drawn = synthetic.training_images(*stream, dose=dose, count=count, saliences=saliences_of(track))
        return TrainingSet(drawn.images, drawn.labels)
    if source is None:
        raise DataError(
            f"track {track.name} needs CIFAR-10; give its folder with --data-root, or omit --data-root to download it"
        )
    if len(source.train_labels) < count:
        raise DataError(
            f"track {track.name} trains on {count} images, but the source has {len(source.train_labels)}; "
            "give another copy with --data-root"
        )
    rows = balanced_subset(source.train_labels, count)
    if len(rows) == len(source.train_labels):
        return TrainingSet(source.train_images, source.train_labels)
    return TrainingSet(source.train_images[rows], source.train_labels[rows])


def shared_training_set(
    track: Track,
    cache: Path,
    *,
    role: Literal["teacher", "student"],
    bias: TeacherBias | None,
    seed: int,
    source: Cifar10 | None,
) -> TrainingSet:
    """Return the training set of a run, as `training_set` does, with generated images that all runs of a seed share.

    Args:
        track: of the spec.
        cache: folder of the shared arrays.
        role, bias, seed, source: see `training_set`.
    """
    if track.data.source != "synthetic":
        return training_set(track, role=role, bias=bias, seed=seed, source=source)

    def draw() -> Mapping[str, AnyArray]:
        drawn = training_set(track, role=role, bias=bias, seed=seed, source=None)
        return {"images": drawn.images, "labels": drawn.labels}

    recipe = _recipe(track, *_law(track, role, bias, seed))
    arrays = made_once(cache.joinpath(*FOLDER), recipe, draw, most=MOST_SETS)
    return TrainingSet(arrays["images"], arrays["labels"])


def _recipe(track: Track, stream: Stream, dose: float | None) -> dict[str, Any]:
    """Return everything that determines generated images, the code that draws them included."""
    data = track.data.model_dump(mode="json", include={"source", "num_train", "look"})
    return {"stream": list(stream), "data": data, "dose": dose, "drawn_by": _drawn_by()}


@memoised
def _drawn_by() -> str:
    """Return a digest of the code and the tables by which images are drawn."""
    files = PACKAGE / "data" / "synthetic.py", PACKAGE / "randomness.py", shipped("datasets", "synthetic", "tables.npz")
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def saliences_of(track: Track) -> synthetic.Saliences:
    """Return how strongly the cues show in a synthetic track's images."""
    if track.data.look is None:
        raise DataError(f"track {track.name} has no `look`, which belongs to tracks with the source 'synthetic'")
    return synthetic.Saliences(**track.data.look.model_dump())


def balanced_subset(labels: Integers, count: int) -> Integers:
    """Return the positions, ascending, of the first images of each class, `count` in all and balanced to within one."""
    by_class = np.argsort(labels, kind="stable")
    first_of_class = np.searchsorted(labels[by_class], labels[by_class])
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - first_of_class
    chosen: Integers = np.sort(np.lexsort((labels, rank))[:count])
    return chosen


def _law(
    track: Track, role: Literal["teacher", "student"], bias: TeacherBias | None, seed: int
) -> tuple[Stream, float | None]:
    """Return the name of the stream of a run's images, and the dose of its law; None for the neutral law."""
    if role == "student":
        return (track.name, role, seed), None
    if bias is None:
        raise InputError(f"a teacher of track {track.name} has no bias; give natural, or a planted one")
    stream = track.name, role, bias, seed
    if bias == "natural":
        return stream, None
    if track.planted is None:
        raise InputError(f"a teacher has the bias {bias}, but the spec has no doses for the track {track.name}")
    return stream, track.planted.dose(bias, seed)
