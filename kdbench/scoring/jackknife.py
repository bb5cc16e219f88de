"""Errors and intervals of numbers that are ratios over paired seeds: the jackknife, and Fieller's interval."""

from collections.abc import Callable, Sequence

import numpy as np

from kdbench.scoring.estimates import Estimate
from kdbench.scoring.intervals import StandardErrors, normal_quantile, rounded, t_quantile
from kdbench.scoring.metrics import FloatArray
from kdbench.spec import Scoring


def left_out(number: Callable[..., FloatArray], parts: Sequence[FloatArray]) -> FloatArray:
    """Return (K, ...) values of a number, with one of K seeds left out of all its parts each time.

    Args:
        number: of arrays (seeds, ..., n), which it gives for each index of the last axis.
        parts: arrays (K, ...), the same seeds in each; K at least 2.
    """
    seeds = len(parts[0])
    kept = np.nonzero(~np.eye(seeds, dtype=bool))[1].reshape(seeds, seeds - 1)  # (fold, seeds of the fold)
    return np.moveaxis(number(*(np.moveaxis(part[kept], 0, -1) for part in parts)), -1, 0)


def jackknife_covariance(folds: FloatArray) -> FloatArray:
    """Return the covariance of statistics from their values with one of K observations left out each time.

    Source: Efron & Stein (1981), Annals of Statistics 9, eq. 1.4.

    Args:
        folds: (K, P).

    Returns:
        (P, P): (K - 1) / K times the sum of squares and products about the mean.
    """
    seeds = len(folds)
    centred = folds - folds.mean(axis=0)
    covariance: FloatArray = (seeds - 1) / seeds * centred.T @ centred
    return covariance


def jackknife_estimate(
    number: Callable[..., FloatArray], parts: Sequence[FloatArray], images: int, scoring: Scoring
) -> Estimate | None:
    """Return a ratio of seed-paired parts with its jackknife-t interval over seeds and images.

    Args:
        number: (1 + S,) of arrays (K, ..., 1 + S); not finite where it does not exist.
        parts: the arrays; K at least 3, so that a fold still has a variance over seeds.
        images: number of images that it rests on.
        scoring: confidence.

    Returns:
        None where the number does not exist for the data, for a fold or for a resample.
    """
    values, folds = number(*parts), left_out(number, [part[..., :1] for part in parts])
    value, over_seeds = float(values[0]), float(np.sqrt(jackknife_covariance(folds)[0, 0]))
    errors = StandardErrors(over_seeds, float(values[1:].std(ddof=1)), len(parts[0]))
    if not np.isfinite([value, errors.seeds, errors.images]).all():
        return None
    half = errors.half_width(scoring.confidence)
    return rounded(value, value - half, value + half, images=images, seeds=errors.count, over_seeds=True)


def joint_spread(terms: FloatArray, folds: FloatArray | None, scoring: Scoring) -> FloatArray:
    """Return the covariance of several numbers, scaled so that its diagonal holds squared half-widths of intervals.

    The part of the images comes first; that of the seeds is added to it.

    Args:
        terms: (P, 1 + S) the numbers and their resamples.
        folds: (K, P) values with one seed left out each time; None for an interval over images alone.
        scoring: confidence.

    Returns:
        (P, P).
    """
    spread: FloatArray = normal_quantile(scoring.confidence) ** 2 * np.cov(terms[:, 1:])
    if folds is not None:
        spread = spread + t_quantile(scoring.confidence, len(folds) - 1) ** 2 * jackknife_covariance(folds)
    return spread


def fieller(numerator: float, denominator: float, spread: FloatArray) -> tuple[float, float] | None:
    """Return the interval of the ratios R for which N - R Q may be 0, given the errors of N and Q.

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
