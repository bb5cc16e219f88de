"""The arrays of a test set, as the evaluation uses them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import AnyArray, Images, Integers
from kdbench.data.store import array_sha256

if TYPE_CHECKING:
    from torch import Tensor

BuildProgress = Callable[[str, int, int], None]
"""A function that is called with the name of a step, the number of finished images, and their total number."""


class Manipulation(ABC):
    """A change of resized clean images that the evaluation makes on the device, batch by batch.

    It works at the size of the network's input, so that tiles and noise cover whole patches of a ViT and no arrays of
    that size are stored. Integer tables determine it; the spec pins their digests.
    """

    @property
    @abstractmethod
    def arrays(self) -> tuple[NDArray[np.integer], ...]:
        """The tables that determine the change; the digest of the set covers them."""

    @abstractmethod
    def apply(self, pixels: "Tensor", rows: slice | Integers) -> "Tensor":
        """Return manipulated images.

        Args:
            pixels: (B, 3, H, H) float in [0, 255].
            rows: positions of these images in the whole test set.
        """


@dataclass(frozen=True)
class RightAnswers:
    """The right answers for the images of a test set, and the clean images that they were made from.

    Attributes:
        targets: (n,) the right class; on cue-conflict, the class of the shape.
        textures: (n,) on cue-conflict, the class of the texture; otherwise equal to `targets`.
        index: (n,) position of the original in the clean set; -1 for an image without an original.
    """

    targets: Integers
    textures: Integers
    index: Integers

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """The answers as they are stored; see `TestArrays`."""
        return {
            "targets": self.targets.astype("<i2"),
            "textures": self.textures.astype("<i2"),
            "index": self.index.astype("<i4"),
        }


@dataclass(frozen=True)
class TestArrays:
    """The images of one test set, with the right answers.

    Attributes:
        images: (n, h, h, 3) uint8, possibly memory-mapped, at the track's size or at its stored size.
        targets, textures, index: (n,) int16, int16 and int32; see `RightAnswers`.
        manipulation: the change that the evaluation makes to the resized images; None if `images` are changed already.
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
        """SHA-256 of the bytes of `images`, `targets` and the manipulation's tables, which a frozen manifest pins."""
        return array_sha256(self.images, self.targets, *(self.manipulation.arrays if self.manipulation else ()))


def array_digests(arrays: Mapping[str, TestArrays]) -> dict[str, str]:
    """Return the SHA-256 of each set."""
    return {name: test_arrays.sha256 for name, test_arrays in arrays.items()}
