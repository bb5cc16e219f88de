"""Intervals: bootstrap over test images, t over random seeds, jackknife and Fieller for ratios.

Everything that is resampled is held as an array whose last axis has 1 + S entries: the data itself, then S resamples
of the test images. Resamples draw from a counter-based generator of their own, and sums of counts are exact in any
order, so the same records give the same scores on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from kdbench.randomness import below, words
from kdbench.scoring.answers import Asked
from kdbench.scoring.metrics import Floats
from kdbench.scoring.scores import Estimate
from kdbench.scoring.statistic import Statistic, average
from kdbench.spec import Scoring

DIGITS = (
    6  # of every number in the scores: far below any interval, far above what another machine may round differently
)


@dataclass(frozen=True)
class Stratum:
    """The images of one class, and how often each of them counts.

    Attributes:
        positions: (n,) of the class's images in their set.
        counts: (1 + S, n) float32 whole numbers; row 0 is all ones, every row sums to n.
    """

    positions: NDArray[np.intp]
    counts: NDArray[np.float32]


@dataclass(frozen=True)
class Resampler:
    """Draws resamples of test sets, the same for every network: differences between networks are paired.

    Attributes:
        samples: S.
    """

    samples: int
    _drawn: dict[tuple[str, bytes], tuple[Stratum, ...]] = field(default_factory=dict, repr=False, compare=False)
    _asked: dict[tuple[bytes, bytes], Asked] = field(default_factory=dict, repr=False, compare=False)

    def asked(self, target: NDArray[np.int16], index: NDArray[np.int32]) -> Asked:
        """The images with these classes and origins, the same object for the same ones."""
        key = target.astype("<i2").tobytes(), index.astype("<i4").tobytes()
        return self._asked.setdefault(key, Asked(target, index))

    def strata(self, name: str, target: NDArray[np.int16]) -> tuple[Stratum, ...]:
        """The resamples of the set called `name`, drawn with replacement within each class.

        Args:
            name: of the test set; part of the stream's name.
            target: (n,) right class of each image.
        """
        key = (name, target.astype("<i2").tobytes())
        if key not in self._drawn:
            self._drawn[key] = tuple(self._stratum(name, target, int(one)) for one in np.unique(target))
        return self._drawn[key]

    def _stratum(self, name: str, target: NDArray[np.int16], one: int) -> Stratum:
        positions = np.flatnonzero(target == one)
        size = len(positions)
        random = words("scoring", "bootstrap", name, one, first=0, count=self.samples, per_item=-(-size // 4) * 4)
        drawn = below(random[:, :size], size) + np.arange(self.samples)[:, None] * size
        counts = np.bincount(drawn.ravel(), minlength=self.samples * size).reshape(self.samples, size)
        return Stratum(positions, np.concatenate([np.ones((1, size)), counts]).astype(np.float32))


def class_sums(strata: tuple[Stratum, ...], values: NDArray[np.float32]) -> Floats:
    """Sums of values over the images of each class, in the data and in every resample.

    Args:
        strata: C classes.
        values: (n, V) small whole numbers an image; products of counts stay exact in float32.

    Returns:
        (V, 1 + S, C).
    """
    sums = [stratum.counts @ values[stratum.positions] for stratum in strata]
    return np.stack(sums, axis=-1).astype(np.float64).swapaxes(0, 1)


def t_quantile(confidence: float, degrees_of_freedom: int) -> float:
    """Half-width, in standard errors, of a two-sided t interval."""
    return float(stdtrit(degrees_of_freedom, (1 + confidence) / 2))


def normal_quantile(confidence: float) -> float:
    """Half-width, in standard errors, of a two-sided normal interval."""
    return float(ndtri((1 + confidence) / 2))


@dataclass(frozen=True)
class Errors:
    """Standard errors of a number, by where they come from.

    Attributes:
        seeds: over random seeds.
        images: over test images; seeds share these, so this part does not shrink with more seeds.
        count: K, the number of seeds.
    """

    seeds: float
    images: float
    count: int

    def half_width(self, confidence: float) -> float:
        """Of a two-sided interval: t over the seeds and normal over the images, in quadrature."""
        over_images = normal_quantile(confidence) * self.images
        return float(np.hypot(t_quantile(confidence, self.count - 1) * self.seeds, over_images))


def estimate(samples: Floats, images: int, scoring: Scoring, *, share: bool = False) -> Estimate:
    """Mean over seeds with its interval.

    From `interval_seeds` seeds on: t over the seeds, and the images' bootstrap variance of the mean in quadrature.
    Below: percentiles over images.

    Args:
        samples: (K, 1 + S) finite; the data and the resamples of each seed.
        images: that the numbers rest on.
        scoring: confidence and the number of seeds.
        share: the number is a share in [0, 1] of the images: its interval stays inside, and a share of exactly 0 or 1
            gets the exact binomial bound instead of an empty interval.
    """
    value, resamples = float(samples[:, 0].mean()), samples[:, 1:].mean(axis=0)
    over_seeds = len(samples) >= scoring.interval_seeds
    if over_seeds:
        half = _errors(samples[:, 0], float(resamples.std(ddof=1))).half_width(scoring.confidence)
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
    """Mean over seeds of a number that knows its image error, with an interval like that of `estimate`.

    Args:
        statistics: one a seed, of the same units.
        strata: (U,) of these units.
        images: that the numbers rest on.
        scoring: confidence and the number of seeds.
    """
    values = np.array([one.value for one in statistics])
    over_images = average(statistics).error(strata)
    over_seeds = len(values) >= scoring.interval_seeds
    if over_seeds:
        half = _errors(values, over_images).half_width(scoring.confidence)
    else:
        half = normal_quantile(scoring.confidence) * over_images
    value = float(values.mean())
    return rounded(value, value - half, value + half, images=images, seeds=len(values), over_seeds=over_seeds)


def estimate_scalars(values: Sequence[float], images: int, scoring: Scoring) -> Estimate:
    """Mean over at least two seeds of a number without an image error: its interval covers seeds alone."""
    several = np.asarray(values)
    half, value = _errors(several, 0.0).half_width(scoring.confidence), float(several.mean())
    found = rounded(value, value - half, value + half, images=images, seeds=len(several), over_seeds=True)
    return found.model_copy(update={"covers": "seeds"})


def _errors(seeds: Floats, over_images: float) -> Errors:
    return Errors(float(seeds.std(ddof=1) / np.sqrt(len(seeds))), over_images, len(seeds))


def _within_share(value: float, low: float, high: float, images: int, confidence: float) -> tuple[float, float]:
    extreme = ((1 - confidence) / 2) ** (1 / images)  # Clopper-Pearson for n of n
    if value >= 1:
        low = min(low, extreme)
    if value <= 0:
        high = max(high, 1 - extreme)
    return max(low, 0.0), min(high, 1.0)


def rounded(value: float, low: float, high: float, *, images: int, seeds: int, over_seeds: bool) -> Estimate:
    """An estimate whose interval contains its value, every number rounded to `DIGITS`."""
    value, low, high = (round(number, DIGITS) + 0.0 for number in (value, min(low, value), max(high, value)))
    covers = "seeds and images" if over_seeds else "images"
    return Estimate.model_validate(
        {"value": value, "low": low, "high": high, "images": images, "seeds": seeds, "covers": covers}
    )


def left_out(number: Callable[..., Floats], parts: Sequence[Floats]) -> Floats:
    """(K, ...) a number with one of K seeds left out of all its parts each time.

    Args:
        number: of arrays (seeds, ...).
        parts: arrays (K, ...), the same seeds in each; K at least 2.
    """
    seeds = range(len(parts[0]))
    return np.stack([number(*(np.delete(part, seed, axis=0) for part in parts)) for seed in seeds])


def jackknife_covariance(left_out: Floats) -> Floats:
    """Covariance of statistics from their values with one of K observations left out each time.

    Source: Efron & Stein (1981), Annals of Statistics 9, eq. 1.4.

    Args:
        left_out: (K, P).

    Returns:
        (P, P): (K - 1) / K times the sum of squares and products about the mean.
    """
    seeds = len(left_out)
    centred = left_out - left_out.mean(axis=0)
    covariance: Floats = (seeds - 1) / seeds * centred.T @ centred
    return covariance


def errors_of(number: Callable[..., Floats], parts: Sequence[Floats]) -> Errors:
    """Errors of a number of seed-paired, resampled parts.

    Args:
        number: (1 + S,) of arrays (K, ..., 1 + S).
        parts: the arrays; K at least 2.
    """
    folds = left_out(number, [part[..., :1] for part in parts])
    over_seeds = float(np.sqrt(jackknife_covariance(folds)[0, 0]))
    return Errors(over_seeds, float(number(*parts)[1:].std(ddof=1)), len(parts[0]))


def p_above_zero(value: float, errors: Errors) -> float:
    """One-sided p: the level at which the interval's lower end touches 0, for the same quadrature of both errors."""
    if value < 0:
        return 1 - p_above_zero(-value, errors)
    if value == 0 or errors.seeds == errors.images == 0:
        return 0.5 if value == 0 else 0.0

    def excess(log_p: float) -> float:
        p = np.exp(log_p)
        return float(np.hypot(stdtrit(errors.count - 1, p) * errors.seeds, ndtri(p) * errors.images) - value)

    smallest, largest = np.log(1e-12), np.log(0.5)
    return 1e-12 if excess(smallest) <= 0 else float(np.exp(brentq(excess, smallest, largest)))


def jackknife_estimate(
    number: Callable[..., Floats], parts: Sequence[Floats], images: int, scoring: Scoring
) -> Estimate | None:
    """A ratio of seed-paired parts with its jackknife-t interval over seeds and images.

    Args:
        number: (1 + S,) of arrays (K, ..., 1 + S); not finite where it does not exist.
        parts: the arrays; K at least 3, so that a fold still has a variance over seeds.
        images: that the number rests on.
        scoring: confidence.

    Returns:
        None where the number does not exist for the data, for a fold or for a resample.
    """
    value, errors = float(number(*parts)[0]), errors_of(number, parts)
    if not np.isfinite([value, errors.seeds, errors.images]).all():
        return None
    half = errors.half_width(scoring.confidence)
    return rounded(value, value - half, value + half, images=images, seeds=errors.count, over_seeds=True)


def joint_spread(terms: Floats, folds: Floats | None, scoring: Scoring) -> Floats:
    """Squared half-widths, and their products, of several numbers' intervals: images', and seeds' on top of them.

    Args:
        terms: (P, 1 + S) the numbers and their resamples.
        folds: (K, P) with one seed left out each time; None for an interval over images alone.
        scoring: confidence.

    Returns:
        (P, P).
    """
    spread: Floats = normal_quantile(scoring.confidence) ** 2 * np.cov(terms[:, 1:])
    if folds is not None:
        spread = spread + t_quantile(scoring.confidence, len(folds) - 1) ** 2 * jackknife_covariance(folds)
    return spread


def fieller(numerator: float, denominator: float, spread: Floats) -> tuple[float, float] | None:
    """The ratios that a numerator and a denominator with errors agree with: |N - ratio Q| within its own interval.

    Source: Fieller (1954), Journal of the Royal Statistical Society B 16.

    Args:
        numerator: N.
        denominator: Q.
        spread: (2, 2) covariance of (N, Q) times the squared quantile: the squared half-widths of their intervals.

    Returns:
        The interval, which contains N / Q; None (unbounded) where Q is not above 0 by more than its half-width.
    """
    (nn, nq), (_, qq) = spread
    leading = denominator**2 - qq
    if denominator <= 0 or leading <= 0:
        return None
    middle = numerator * denominator - nq
    root = np.sqrt(max(middle**2 - leading * (numerator**2 - nn), 0.0))
    return float((middle - root) / leading), float((middle + root) / leading)
