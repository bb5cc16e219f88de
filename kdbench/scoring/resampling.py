"""Resamples of the test images, the same for every network, so that differences between networks are paired.

Every resampled number is an array whose last axis has 1 + S entries: the data, then S resamples of the test images. A
counter-based generator draws the resamples, and sums of counts are exact in any order, so the same records give the
same scores on every machine.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdbench.randomness import below, words
from kdbench.scoring.answers import TestImages
from kdbench.scoring.metrics import FloatArray


@dataclass(frozen=True)
class Stratum:
    """The images of one class, and the number of times that each of them counts.

    Attributes:
        positions: (n,) of the class's images in their set.
        counts: (1 + S, n) float32 whole numbers; row 0 is all ones, every row sums to n.
    """

    positions: NDArray[np.intp]
    counts: NDArray[np.float32]


@dataclass(frozen=True)
class Resampler:
    """Draws resamples of test sets and keeps them, so that all networks have the same resamples.

    Attributes:
        samples: their number, S.
    """

    samples: int
    _drawn: dict[tuple[str, bytes], tuple[Stratum, ...]] = field(default_factory=dict, repr=False, compare=False)
    _images: dict[tuple[bytes, bytes], TestImages] = field(default_factory=dict, repr=False, compare=False)

    def test_images(self, target: NDArray[np.int16], index: NDArray[np.int32]) -> TestImages:
        """Return the images with these classes and origins; equal ones are one object."""
        key = target.astype("<i2").tobytes(), index.astype("<i4").tobytes()
        return self._images.setdefault(key, TestImages(target, index))

    def strata(self, name: str, target: NDArray[np.int16]) -> tuple[Stratum, ...]:
        """Return the resamples of the test set `name`, drawn with replacement within each class.

        Args:
            name: of the test set; part of the stream's name.
            target: (n,) right class of each image.
        """
        key = (name, target.astype("<i2").tobytes())
        if key not in self._drawn:
            self._drawn[key] = tuple(self._stratum(name, target, int(label)) for label in np.unique(target))
        return self._drawn[key]

    def _stratum(self, name: str, target: NDArray[np.int16], label: int) -> Stratum:
        positions = np.flatnonzero(target == label)
        size = len(positions)
        random = words("scoring", "bootstrap", name, label, first=0, count=self.samples, per_item=-(-size // 4) * 4)
        drawn = below(random[:, :size], size) + np.arange(self.samples)[:, None] * size
        counts = np.bincount(drawn.ravel(), minlength=self.samples * size).reshape(self.samples, size)
        return Stratum(positions, np.concatenate([np.ones((1, size)), counts]).astype(np.float32))


_LARGEST_PRODUCT: Final = 2**18
"""Multiplications at a time. BLAS spreads larger products over threads, which wait for each other on a busy machine."""


def class_sums(strata: tuple[Stratum, ...], values: NDArray[np.float32]) -> FloatArray:
    """Return sums of values over the images of each class, in the data and in every resample.

    Args:
        strata: C classes.
        values: (n, V) small whole numbers per image; products of counts stay exact in float32.

    Returns:
        (V, 1 + S, C).
    """
    sums = [_product(stratum.counts, values[stratum.positions]) for stratum in strata]
    return np.stack(sums, axis=-1).swapaxes(0, 1).astype(np.float64, order="C")


def _product(counts: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix product, computed some rows at a time."""
    rows = max(1, _LARGEST_PRODUCT // max(1, values.size))
    return np.concatenate([counts[first : first + rows] @ values for first in range(0, len(counts), rows)])
