"""The answers of runs as they are compared image by image, and which test images vary together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kdbench.records import SetPredictions
from kdbench.scoring.statistic import Statistic, average


def _nothing() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class Asked:
    """The images of a test set; one object for all runs that were asked about the same ones.

    Attributes:
        target: (n,) int16, right classes.
        index: (n,) int32, the clean image that each was made from; -1 for none.
    """

    target: NDArray[np.int16]
    index: NDArray[np.int32]

    @property
    def has_origins(self) -> bool:
        return bool((self.index >= 0).all())


@dataclass(frozen=True, eq=False)
class Answers:
    """What one run answered on one test set.

    Attributes:
        asked: the images.
        label: (n,) int16, predicted classes.
        kl: (n,) float32, KL(teacher || student) in nats; NaN without a teacher.
        confidence, nll, brier: (n,) float32 as in `SetPredictions`; kept of the clean set alone, else empty.
    """

    asked: Asked
    label: NDArray[np.int16]
    kl: NDArray[np.float32]
    confidence: NDArray[np.float32] = field(default_factory=_nothing)
    nll: NDArray[np.float32] = field(default_factory=_nothing)
    brier: NDArray[np.float32] = field(default_factory=_nothing)

    @classmethod
    def of(cls, answers: SetPredictions, asked: Asked, *, clean: bool) -> "Answers":
        """The answers of a record; probabilities are kept for the clean set alone."""
        sure = (answers.confidence, answers.nll, answers.brier) if clean else ()
        return cls(asked, answers.label, answers.kl, *sure)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) whether each answer is the right class."""
        right: NDArray[np.bool_] = self.label == self.asked.target
        return right


@dataclass(frozen=True)
class Layout:
    """Which images of several test sets are one unit: all that were made from the same clean image.

    Attributes:
        units: by set, (n,) the unit of each image.
        strata: (U,) a number for each class, and for each class of every set whose images have no origin.
    """

    units: Mapping[str, NDArray[np.intp]]
    strata: NDArray[np.intp]

    @classmethod
    def of(cls, sets: Mapping[str, Asked], clean: Asked) -> "Layout":
        """The layout of some test sets of one board."""
        units, strata = {}, [clean.target.astype(np.intp)]
        for name, asked in sets.items():
            if asked.has_origins:
                units[name] = asked.index.astype(np.intp)
                continue
            taken = sum(len(one) for one in strata)
            units[name] = np.arange(taken, taken + len(asked.target))
            strata.append(asked.target + strata[-1].max() + 1)
        return cls(units, np.concatenate(strata))

    @property
    def images(self) -> int:
        """Units that at least one image belongs to."""
        return len(np.unique(np.concatenate(list(self.units.values()))))

    def average(self, parts: Mapping[str, Statistic]) -> Statistic:
        """The mean of one statistic a set, with the effect of each unit."""
        return average([one.placed(self.units[name], len(self.strata)) for name, one in parts.items()])


def shared_sets(every: Sequence[Mapping[str, Answers]], names: Sequence[str]) -> dict[str, Asked]:
    """Those sets among `names` on which all runs answered the same images, in the order of `names`."""
    first = every[0]
    shared = [name for name in names if all(name in one and one[name].asked is first[name].asked for one in every)]
    return {name: first[name].asked for name in shared}
