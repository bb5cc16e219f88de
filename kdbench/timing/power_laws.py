"""A power law fitted to measured times, and what it predicts beyond them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from kdbench.timing.medians import CONFIDENCE

LEAST_POINTS = 3  # two points determine the line, and leave nothing to tell how well it fits


@dataclass(frozen=True)
class Bounded:
    """A fitted number with its interval of the confidence `CONFIDENCE`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PowerLaw:
    """A straight line fitted to the logarithms of sizes and seconds by least squares.

    Attributes:
        slope: the exponent; 1 where twice the size takes twice the time.
        level: logarithm of the seconds at the mean of the logarithms of the sizes.
        centre: this mean.
        spread: sum of the squared distances from it.
        residual: standard error of a point, estimated from its distance to the line.
        points: number of sizes.
    """

    slope: Bounded
    level: float
    centre: float
    spread: float
    residual: float
    points: int

    def seconds(self, size: float) -> Bounded:
        """Return the expected seconds at a size. Their interval assumes that the law holds there."""
        distance = math.log(size) - self.centre
        expected = self.level + self.slope.value * distance
        error = self.residual * math.sqrt(1 / self.points + distance**2 / self.spread)
        half = _quantile(self.points) * error
        return Bounded(math.exp(expected), math.exp(expected - half), math.exp(expected + half))


def _quantile(points: int) -> float:
    return float(stdtrit(points - 2, (1 + CONFIDENCE) / 2))


def fit_power_law(sizes: Sequence[float], seconds: Sequence[float]) -> PowerLaw:
    """Fit seconds = c * size ** slope.

    Args:
        sizes: different positive numbers, at least `LEAST_POINTS`.
        seconds: positive, one per size.

    Raises:
        ValueError: there are too few sizes.
    """
    if len(set(sizes)) < LEAST_POINTS:
        raise ValueError(f"{len(set(sizes))} sizes are too few for a fit; it needs {LEAST_POINTS}")
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(seconds, float))
    distances = x - x.mean()
    spread = float(distances @ distances)
    slope = float(distances @ y) / spread
    errors = y - y.mean() - slope * distances
    residual = math.sqrt(float(errors @ errors) / (len(x) - 2))
    half = _quantile(len(x)) * residual / math.sqrt(spread)
    return PowerLaw(
        Bounded(slope, slope - half, slope + half), float(y.mean()), float(x.mean()), spread, residual, len(x)
    )
