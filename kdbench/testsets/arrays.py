"""A test set as the evaluation sees it."""

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
"""Called with a step's name, how many of its images are done, and how many there are."""


class Manipulation(ABC):
    """What the evaluation does to the resized clean images of a set, on the device and batch by batch.

    It acts on the lattice of the network's input, so that tiles and patches lie on whole patches of a ViT, and no
    arrays at full size are kept. What decides it are integer tables whose digests the spec pins.
    """

    @property
    @abstractmethod
    def arrays(self) -> tuple[NDArray[np.integer], ...]:
        """The tables that decide it; the set's digest covers them."""

    @abstractmethod
    def apply(self, pixels: "Tensor", rows: slice | Integers) -> "Tensor":
        """Return manipulated images.

        Args:
            pixels: (B, 3, H, H) float in [0, 255].
            rows: of these images in the whole test set.
        """


@dataclass(frozen=True)
class RightAnswers:
    """What the images of a test set show, and what they were made from.

    Attributes:
        targets: (n,) the right class; the shape's on cue-conflict.
        textures: (n,) the texture's class on cue-conflict, else equal to `targets`.
        index: (n,) position in the clean set of the image that each was made from; -1 for none.
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


def array_digests(arrays: Mapping[str, TestArrays]) -> dict[str, str]:
    """Return the SHA-256 of each set."""
    return {name: test_arrays.sha256 for name, test_arrays in arrays.items()}
