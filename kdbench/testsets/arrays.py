"""A test set as the evaluation sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.store import array_sha256

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class TileOrders:
    """Tiles of a `grid` x `grid` partition to be moved about: place p of image i gets tile `order[i, p]`.

    Attributes:
        grid: tiles a side.
        order: (n, grid * grid) uint8 or wider.
    """

    grid: int
    order: NDArray[np.integer]

    @property
    def arrays(self) -> tuple[NDArray[np.integer], ...]:
        return (self.order,)


@dataclass(frozen=True)
class NoisePatch:
    """Noise to be added, clipped to the range of a pixel.

    Attributes:
        tile: (s, s, 3) int16 grey levels.
        corners: (n, 2) int16, pixels down and right to the patch's top-left corner.
    """

    tile: NDArray[np.int16]
    corners: NDArray[np.int16]

    @property
    def arrays(self) -> tuple[NDArray[np.integer], ...]:
        return (self.tile, self.corners)


Manipulation = TileOrders | NoisePatch


@dataclass(frozen=True)
class TestArrays:
    """The images of one test set, with the right answers.

    Attributes:
        images: (n, h, h, 3) uint8, possibly memory-mapped, at the track's size or the one that it stores.
        targets: (n,) int16, the right class; the shape's on cue-conflict.
        textures: (n,) int16, the texture's class on cue-conflict, else equal to `targets`.
        index: (n,) int32, position in the clean set of the image that this one was made from; -1 for none.
        manipulation: what the evaluation has yet to do to the resized images; None where `images` are the test images.
    """

    __test__ = False

    images: Images
    targets: NDArray[np.int16]
    textures: NDArray[np.int16]
    index: NDArray[np.int32]
    manipulation: Manipulation | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes of `images`, `targets` and the manipulation's tables: what a frozen manifest pins."""
        return array_sha256(self.images, self.targets, *(self.manipulation.arrays if self.manipulation else ()))


Progress = Callable[[str, int, int], None]
"""Called with a step's name, how many of its images are done, and how many there are."""


def array_digests(arrays: Mapping[str, TestArrays]) -> dict[str, str]:
    """SHA-256 of images and targets, by set."""
    return {name: one.sha256 for name, one in arrays.items()}


def answer_arrays(
    targets: NDArray[np.integer], textures: NDArray[np.integer], index: NDArray[np.integer]
) -> dict[str, NDArray[Any]]:
    """The right answers as they are stored; see `TestArrays`."""
    return {
        "targets": targets.astype("<i2"),
        "textures": textures.astype("<i2"),
        "index": index.astype("<i4"),
    }
