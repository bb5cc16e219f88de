"""Stores arrays of many test sets joined end to end, so that a file has few arrays and is read at once.

A file has `test_sets` (names), `images` (the number of images of each), and one array per key, in which the images of
all test sets lie one after the other along the last axis.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from kdbench.files import check_unpacked_size

_NAMES, _IMAGES = "test_sets", "images"
MOST_ARRAY_BYTES: Final = 2**30


@dataclass(frozen=True)
class JoinedArrays:
    """Arrays of several test sets, joined end to end.

    Attributes:
        images: number of images by test set, in the order in which they lie.
        arrays: by key, (..., sum of the images).
    """

    images: Mapping[str, int]
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, by_set: Mapping[str, Mapping[str, NDArray[Any]]], *, images_from: str) -> "JoinedArrays":
        """Join arrays.

        Args:
            by_set: by test set, at least one, arrays with the same keys.
            images_from: the key of the arrays whose length is the number of images.
        """
        keys = list(next(iter(by_set.values())))
        joined = {key: np.concatenate([arrays[key] for arrays in by_set.values()], axis=-1) for key in keys}
        return cls({name: arrays[images_from].shape[-1] for name, arrays in by_set.items()}, joined)

    def by_set(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Return the arrays by test set; they share memory with the joined ones."""
        ends = np.cumsum(list(self.images.values()), dtype=np.int64)
        return {
            name: {key: array[..., end - size : end] for key, array in self.arrays.items()}
            for (name, size), end in zip(self.images.items(), ends.tolist(), strict=True)
        }

    def stored(self) -> dict[str, NDArray[Any]]:
        """Return everything that a file holds, by name."""
        images = np.array(list(self.images.values()), np.int64)
        return {_NAMES: np.array(list(self.images)), _IMAGES: images, **self.arrays}

    def write(self, file: IO[bytes]) -> None:
        """Write an npz file, compressed."""
        np.savez_compressed(file, **self.stored())  # type: ignore[arg-type]


def read_joined(file: IO[bytes], keys: Iterable[str]) -> JoinedArrays:
    """Return the arrays of a file that `JoinedArrays.write` wrote; others in it are not read.

    Raises:
        ValueError: an array has other images than the file says, or the arrays take far more memory than any record's.
        Exception: any of `kdbench.files.DAMAGES`, for a damaged file.
    """
    with np.load(file, allow_pickle=False) as stored:
        check_unpacked_size(stored.zip, MOST_ARRAY_BYTES)
        names, sizes = stored[_NAMES], stored[_IMAGES]
        images = _images_by_set(names, sizes)
        arrays = {key: stored[key] for key in keys}
    total = sum(images.values())
    for key, array in arrays.items():
        if array.ndim == 0 or array.shape[-1] != total:
            raise ValueError(f"{key} has the shape {array.shape}, but there are {total} images")
    return JoinedArrays(images, arrays)


def _images_by_set(names: NDArray[Any], sizes: NDArray[Any]) -> dict[str, int]:
    """Return the number of images by test set; ValueError if these are not different names and numbers of images."""
    if names.ndim != 1 or names.dtype.kind != "U" or sizes.shape != names.shape or sizes.dtype.kind != "i":
        raise ValueError(f"{_NAMES} and {_IMAGES} are not a list of names and a list of as many whole numbers")
    images = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    if len(images) < len(names) or min(images.values(), default=0) < 0:
        raise ValueError(f"{_NAMES} and {_IMAGES} name a test set twice, or give one a negative number of images")
    return images
