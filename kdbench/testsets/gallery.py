"""A few pictures of every test set, which are stored with the records for the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Images
from kdbench.errors import InputError, remedy
from kdbench.files import DAMAGES, atomic_file, check_unpacked_size
from kdbench.spec import Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.contact_sheet import gallery

GALLERY = "gallery.npz"
MOST_BYTES = 2**26  # of all pictures of a track


@dataclass(frozen=True)
class Gallery:
    """Pictures of one track's test sets.

    Attributes:
        sets: by test set, images (n, H, W, 3) uint8 and targets (n,). Image i has the same original in every set. A set
            without images of that original has another image with the same target.
        class_names: by class number.
    """

    sets: Mapping[str, tuple[Images, NDArray[np.integer]]]
    class_names: tuple[str, ...]


def write_gallery(results: Path, track: Track, arrays: Mapping[str, TestArrays]) -> None:
    """Write a few pictures of every test set of the spec into the results folder, for the page."""
    pictures = gallery(
        {test_set.name: arrays[test_set.name] for test_set in track.test_sets if test_set.name in arrays},
        data=track.data,
    )
    targets = np.arange(track.data.num_classes)
    with atomic_file(results / track.name / GALLERY) as file:
        np.savez_compressed(file, **pictures, targets=targets, classes=np.array(class_names(track)))  # type: ignore[arg-type]


def class_names(track: Track) -> tuple[str, ...]:
    """Return the names of a track's classes."""
    if track.data.source == "cifar10":
        from kdbench.data.cifar10 import CLASSES

        return CLASSES
    from kdbench.data.synthetic import SHAPE_NAMES, TEXTURE_NAMES

    return tuple(f"{shape}, {texture}" for shape, texture in zip(SHAPE_NAMES, TEXTURE_NAMES, strict=True))


def read_gallery(path: Path) -> Gallery | None:
    """Return the pictures in a file, or None if it does not exist.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with path.open("rb") as file:
            if not is_zipfile(file):
                raise ValueError("it is not an NPZ archive")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                check_unpacked_size(arrays.zip, MOST_BYTES)
                targets, classes = arrays["targets"], tuple(str(name) for name in arrays["classes"])
                sets = {name: (arrays[name], targets) for name in arrays.files if name not in ("targets", "classes")}
        for name, (images, _) in sets.items():
            _check_pictures(name, images, targets, classes)
    except FileNotFoundError:
        return None
    except DAMAGES as error:
        again = "move it elsewhere, and `kdbench run` writes it again"
        raise InputError(f"{path} cannot be read ({error}); {remedy(error, again)}") from error
    return Gallery(sets=sets, class_names=classes)


def _check_pictures(name: str, images: Images, targets: NDArray[np.integer], classes: tuple[str, ...]) -> None:
    """Raise ValueError for what is not a row of pictures of known classes."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise ValueError(
            f"{name} has the shape {images.shape} and the type {images.dtype}; allowed: (n, H, W, 3) uint8"
        )
    if targets.dtype.kind != "i" or targets.ndim != 1 or not 0 <= targets.min() <= targets.max() < len(classes):
        raise ValueError(f"its targets are not numbers of its {len(classes)} classes")
