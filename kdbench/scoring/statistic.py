"""Numbers with the contribution of each image, so that a formula also gives its standard error over images.

A statistic is a smooth function of means over images. In addition to its value it has *effects*: to first order, the
change of the value with the weight of each image (the infinitesimal jackknife). Arithmetic propagates them. A kappa is
therefore written as its formula, its error over images follows, and differences between networks are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdbench.scoring.metrics import FloatArray


@dataclass(frozen=True)
class Statistic:
    """A value with the effect of each image on it.

    Attributes:
        value: finite.
        effects: (n,) change of the value with the relative weight of each image, divided by n; they sum to 0.
    """

    value: float
    effects: FloatArray

    def __add__(self, other: "Statistic | float") -> "Statistic":
        if isinstance(other, Statistic):
            return Statistic(self.value + other.value, self.effects + other.effects)
        return Statistic(self.value + other, self.effects)

    def __neg__(self) -> "Statistic":
        return Statistic(-self.value, -self.effects)

    def __sub__(self, other: "Statistic | float") -> "Statistic":
        if isinstance(other, Statistic):
            return Statistic(self.value - other.value, self.effects - other.effects)
        return Statistic(self.value - other, self.effects)

    def __rsub__(self, other: float) -> "Statistic":
        return Statistic(other - self.value, -self.effects)

    def __mul__(self, other: "Statistic | float") -> "Statistic":
        if isinstance(other, Statistic):
            effects = self.effects * other.value + self.value * other.effects
            return Statistic(self.value * other.value, effects)
        return Statistic(self.value * other, self.effects * other)

    def __truediv__(self, other: "Statistic | float") -> "Statistic":
        """Return the quotient; callers refuse a denominator of 0 first, in words."""
        if isinstance(other, Statistic):
            value = self.value / other.value
            return Statistic(value, (self.effects - value * other.effects) / other.value)
        return Statistic(self.value / other, self.effects / other)

    def __abs__(self) -> "Statistic":
        return self if self.value >= 0 else -self

    def placed(self, units: NDArray[np.intp], count: int) -> "Statistic":
        """Return this statistic with effects per unit: images made from one clean image vary together and add up.

        Args:
            units: (n,) the unit of each image, below `count`.
            count: number of units.
        """
        return Statistic(self.value, np.bincount(units, self.effects, minlength=count).astype(np.float64))

    def error(self, strata: NDArray[np.integer]) -> float:
        """Return the standard error over images, where the number of images of each stratum is fixed.

        Args:
            strata: (n,) stratum of each image (or unit), from 0.
        """
        counts = np.maximum(np.bincount(strata), 1)
        means = np.bincount(strata, weights=self.effects) / counts
        return float(np.sqrt(((self.effects - means[strata]) ** 2).sum()))


def mean(values: ArrayLike) -> Statistic:
    """Return the mean over images of (n,) numbers, n at least 1."""
    numbers = np.asarray(values, dtype=np.float64)
    average = float(numbers.sum() / len(numbers))
    return Statistic(average, (numbers - average) / len(numbers))


def average(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of several statistics of the same images, at least one."""
    total = statistics[0]
    for statistic in statistics[1:]:
        total = total + statistic
    return total / len(statistics)
