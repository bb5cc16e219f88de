"""Intervals: percentiles over test images, t over random seeds, both in quadrature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from kdbench.scoring.estimates import Estimate
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.quantiles import zero_between
from kdbench.scoring.statistic import Statistic, average
from kdbench.spec import Scoring

# Digits of every number in the scores: finer than any interval, but coarser than rounding differences of machines.
DIGITS = 6


def t_quantile(confidence: float, degrees_of_freedom: int) -> float:
    """Return the half-width, in standard errors, of a two-sided t interval."""
    return float(stdtrit(degrees_of_freedom, (1 + confidence) / 2))


def normal_quantile(confidence: float) -> float:
    """Return the half-width, in standard errors, of a two-sided normal interval."""
    return float(ndtri((1 + confidence) / 2))


@dataclass(frozen=True)
class StandardErrors:
    """Standard errors of a number, by where they come from.

    Attributes:
        seeds: over random seeds.
        images: over test images. All seeds share them, so this part does not shrink with more seeds.
        count: K, the number of seeds.
    """

    seeds: float
    images: float
    count: int

    def half_width(self, confidence: float) -> float:
        """Return the half-width of a two-sided interval: t over seeds and normal over images, in quadrature."""
        over_images = normal_quantile(confidence) * self.images
        return float(np.hypot(t_quantile(confidence, self.count - 1) * self.seeds, over_images))


def estimate(samples: FloatArray, images: int, scoring: Scoring, *, share: bool = False) -> Estimate:
    """Return the mean over seeds with its interval.

    From `interval_seeds` seeds on, the interval combines t over the seeds and the bootstrap variance of the mean over
    images in quadrature. With fewer seeds it consists of percentiles over images.

    Args:
        samples: (K, 1 + S) finite; the data and the resamples of each seed.
        images: number of images that the numbers rest on.
        scoring: confidence and the number of seeds.
        share: whether the number is a share in [0, 1] of the images. Its interval then stays inside, and a share of
            exactly 0 or 1 gets the exact binomial bound, since its interval would otherwise be empty.
    """
    value, resamples = float(samples[:, 0].mean()), samples[:, 1:].mean(axis=0)
    over_seeds = len(samples) >= scoring.interval_seeds
    if over_seeds:
        half = _standard_errors(samples[:, 0], float(resamples.std(ddof=1))).half_width(scoring.confidence)
        low, high = value - half, value + half
    else:
        tail = (1 - scoring.confidence) / 2
        low, high = (float(bound) for bound in np.quantile(resamples, [tail, 1 - tail]))
    if share:
        low, high = _within_share(value, low, high, images, scoring.confidence)
    return rounded(value, low, high, images=images, seeds=len(samples), over_seeds=over_seeds)


def estimate_statistics(
    statistics: Sequence[Statistic], strata: NDArray[np.intp], images: int, scoring: Scoring
) -> Estimate:
    """Return the mean over seeds of statistics, which carry an image error, with an interval like that of `estimate`.

    Args:
        statistics: one per seed, of the same units.
        strata: (U,) strata of these units.
        images: number of images that the numbers rest on.
        scoring: confidence and the number of seeds.
    """
    values = np.array([statistic.value for statistic in statistics])
    over_images = average(statistics).error(strata)
    over_seeds = len(values) >= scoring.interval_seeds
    if over_seeds:
        half = _standard_errors(values, over_images).half_width(scoring.confidence)
    else:
        half = normal_quantile(scoring.confidence) * over_images
    value = float(values.mean())
    return rounded(value, value - half, value + half, images=images, seeds=len(values), over_seeds=over_seeds)


def estimate_scalars(values: Sequence[float], images: int, scoring: Scoring) -> Estimate:
    """Return the mean over at least two seeds of a number without image error; its interval covers only seeds."""
    seeds = np.asarray(values)
    half, value = _standard_errors(seeds, 0.0).half_width(scoring.confidence), float(seeds.mean())
    over_both = rounded(value, value - half, value + half, images=images, seeds=len(seeds), over_seeds=True)
    return over_both.model_copy(update={"covers": "seeds"})


def _standard_errors(seeds: FloatArray, over_images: float) -> StandardErrors:
    return StandardErrors(float(seeds.std(ddof=1) / np.sqrt(len(seeds))), over_images, len(seeds))


def _within_share(value: float, low: float, high: float, images: int, confidence: float) -> tuple[float, float]:
    extreme = ((1 - confidence) / 2) ** (1 / images)  # Clopper-Pearson for n of n
    if value >= 1:
        low = min(low, extreme)
    if value <= 0:
        high = max(high, 1 - extreme)
    return max(low, 0.0), min(high, 1.0)


def rounded(value: float, low: float, high: float, *, images: int, seeds: int, over_seeds: bool) -> Estimate:
    """Return an estimate whose interval contains its value, every number rounded to `DIGITS`."""
    value, low, high = (round(number, DIGITS) + 0.0 for number in (value, min(low, value), max(high, value)))
    covers = "seeds and images" if over_seeds else "images"
    return Estimate.model_validate(
        {"value": value, "low": low, "high": high, "images": images, "seeds": seeds, "covers": covers}
    )


def p_above_zero(value: float, errors: StandardErrors) -> float:
    """Return one-sided p: the level at which the interval's lower end touches 0, for the same quadrature of errors."""
    if value < 0:
        return 1 - p_above_zero(-value, errors)
    if value == 0 or errors.seeds == errors.images == 0:
        return 0.5 if value == 0 else 0.0

    def excess(log_p: float) -> float:
        p = np.exp(log_p)
        return float(np.hypot(stdtrit(errors.count - 1, p) * errors.seeds, ndtri(p) * errors.images) - value)

    smallest, largest = np.log(1e-12), np.log(0.5)
    return 1e-12 if excess(smallest) <= 0 else float(np.exp(zero_between(excess, smallest, largest)))
