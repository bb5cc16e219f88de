"""A test set as the evaluation sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kdbench.data.store import array_sha256

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class TestArrays:
    """The images of one test set, with the right answers.

    Attributes:
        images: (n, H, W, 3) uint8, possibly memory-mapped.
        targets: (n,) int16, the right class; the shape's on cue-conflict.
        textures: (n,) int16, the texture's class on cue-conflict, else equal to `targets`.
        index: (n,) int32, position in the clean set of the image that this one was made from; -1 for none.
    """

    __test__ = False

    images: Images
    targets: NDArray[np.int16]
    textures: NDArray[np.int16]
    index: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes of `images`, then `targets`: what a frozen manifest pins."""
        return array_sha256(self.images, self.targets)


Progress = Callable[[str, int, int], None]
"""Called with a step's name, how many of its images are done, and how many there are."""


def array_digests(arrays: Mapping[str, TestArrays]) -> dict[str, str]:
    """SHA-256 of images and targets, by set."""
    return {name: one.sha256 for name, one in arrays.items()}
