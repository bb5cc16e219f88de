"""Tukey's quantile, and the search for the argument at which a function is 0."""

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from scipy.special import gammaln, ndtr

from kdbench.scoring.metrics import FloatArray

_HALVINGS: Final = 60
_LARGEST_RANGE: Final = 1000.0
_NORMAL: Final = np.linspace(-9, 9, 121)
_POINTS: Final = 121


def zero_between(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Return where a decreasing function, above 0 at `low` and below 0 at `high`, is 0."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if decreasing(middle) > 0 else (low, middle)
    return (low + high) / 2


@cache
def tukey_quantile(confidence: float, means: int, degrees_of_freedom: float) -> float:
    """Return the quantile of the range of several means in standard errors of one, which is estimated.

    Source: Tukey (1953), "The problem of multiple comparisons"; Lund & Lund (1983), Applied Statistics 32, AS 190.

    Args:
        confidence: between 0 and 1.
        means: their number, at least 2.
        degrees_of_freedom: of the estimated error; infinite for a known one.
    """
    errors, weights = _errors(degrees_of_freedom)
    return zero_between(
        lambda limit: confidence - float(_range_probability(limit * errors, means) @ weights), 0.0, _LARGEST_RANGE
    )


def _range_probability(limits: FloatArray, means: int) -> FloatArray:
    """Return the probability that the range of standard normal numbers is at most each limit, by the trapezoidal rule.

    It is m times the integral of phi(z) [Phi(z) - Phi(z - limit)]^(m - 1) over z.
    """
    within = (ndtr(_NORMAL) - ndtr(_NORMAL - limits[:, None])) ** (means - 1)
    density = np.exp(-(_NORMAL**2) / 2) / np.sqrt(2 * np.pi)
    probability: FloatArray = means * (within @ density) * (_NORMAL[1] - _NORMAL[0])
    return probability


def _errors(degrees_of_freedom: float) -> tuple[FloatArray, FloatArray]:
    """Return ratios of an estimated to the true standard error, and their weights in a sum over the distribution.

    The logarithms of the ratios are equally spaced, where the trapezoidal rule is exact to rounding.
    """
    if np.isinf(degrees_of_freedom):
        return np.ones(1), np.ones(1)
    half = degrees_of_freedom / 2
    logarithm = np.linspace(-1 - 20 / half, np.log1p(10 / np.sqrt(2 * half)), _POINTS)
    ratio = np.exp(logarithm)
    log_density = np.log(2) + half * np.log(half) - gammaln(half) + 2 * half * logarithm - half * ratio**2
    return ratio, np.exp(log_density) * (logarithm[1] - logarithm[0])
