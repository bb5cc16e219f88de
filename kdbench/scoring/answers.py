"""The answers of runs, which are compared image by image, and the groups of test images that vary together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kdbench.records import SetPredictions
from kdbench.scoring.statistic import Statistic, average


def _no_numbers() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class TestImages:
    """The images of a test set; all runs that answered the same images share one object.

    Attributes:
        target: (n,) int16, right classes.
        index: (n,) int32, the clean images that they were made from; -1 for none.
    """

    __test__ = False  # pytest collects classes with such names

    target: NDArray[np.int16]
    index: NDArray[np.int32]

    @property
    def has_origins(self) -> bool:
        """Whether every image was made from a clean one."""
        return bool((self.index >= 0).all())


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one run on one test set.

    Attributes:
        images: of the test set.
        label: (n,) int16, predicted classes.
        kl: (n,) float32, KL(teacher || student) in nats; NaN without a teacher.
        confidence, nll, brier: (n,) float32 as in `SetPredictions`, for the clean set; empty for other sets.
    """

    images: TestImages
    label: NDArray[np.int16]
    kl: NDArray[np.float32]
    confidence: NDArray[np.float32] = field(default_factory=_no_numbers)
    nll: NDArray[np.float32] = field(default_factory=_no_numbers)
    brier: NDArray[np.float32] = field(default_factory=_no_numbers)

    @classmethod
    def of(cls, predictions: SetPredictions, images: TestImages, *, clean: bool) -> "Answers":
        """Return the answers of a record; probabilities are copied, and only for the clean set.

        Arrays of a record share their memory with those of all its sets, so a part that is not copied keeps the whole.
        """
        probabilities = (predictions.confidence, predictions.nll, predictions.brier) if clean else ()
        return cls(images, predictions.label, predictions.kl, *(array.copy() for array in probabilities))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is the right class, (n,)."""
        right: NDArray[np.bool_] = self.label == self.images.target
        return right


@dataclass(frozen=True)
class ImageUnits:
    """The units of several test sets: all images that were made from the same clean image are one unit.

    Attributes:
        units: by test set, (n,) the unit of each image.
        strata: (U,) the stratum of each unit: its class, separately for every set whose images have no origin.
    """

    units: Mapping[str, NDArray[np.intp]]
    strata: NDArray[np.intp]

    @classmethod
    def of(cls, test_sets: Mapping[str, TestImages], clean: TestImages) -> "ImageUnits":
        """Return the units of some test sets of one board, given the images of the clean set."""
        units, strata = {}, [clean.target.astype(np.intp)]
        for name, images in test_sets.items():
            if images.has_origins:
                units[name] = images.index.astype(np.intp)
                continue
            taken = sum(len(stratum) for stratum in strata)
            units[name] = np.arange(taken, taken + len(images.target))
            strata.append(images.target + strata[-1].max() + 1)
        return cls(units, np.concatenate(strata))

    @property
    def count(self) -> int:
        """The number of units with at least one image."""
        return int(np.count_nonzero(np.bincount(np.concatenate(list(self.units.values())))))

    def average(self, statistics: Mapping[str, Statistic]) -> Statistic:
        """Return the mean of one statistic per test set, with the effect of each unit."""
        return average([statistic.placed(self.units[name], len(self.strata)) for name, statistic in statistics.items()])


def shared_sets(answers: Sequence[Mapping[str, Answers]], names: Sequence[str]) -> dict[str, TestImages]:
    """Return those test sets among `names` on which all runs answered the same images, in the order of `names`.

    Args:
        answers: of each run, by test set; at least one run.
        names: of test sets.
    """
    first = answers[0]
    shared = [name for name in names if all(name in run and run[name].images is first[name].images for run in answers)]
    return {name: first[name].images for name in shared}
