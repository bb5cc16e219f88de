"""Medians of measured times, and of ratios of times, with intervals that assume no distribution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
LEAST_ROUNDS = 6  # with fewer, not even the extremes enclose the median with this confidence


@dataclass(frozen=True)
class MedianInterval:
    """A median, or a ratio of medians, with its interval.

    Attributes:
        median: of the values.
        low, high: ends of the interval, which has the confidence `CONFIDENCE`.
    """

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float]) -> MedianInterval:
    """Return the median of values, with an interval between two of the sorted values.

    The interval covers the median of the distribution that the values were drawn from, whatever its form, if they were
    drawn independently (David & Nagaraja, Order Statistics, section 7.1).

    Args:
        values: at least `LEAST_ROUNDS` finite numbers.

    Raises:
        ValueError: there are fewer values.
    """
    ordered = sorted(values)
    rank = _rank(len(ordered))
    return MedianInterval(_median(ordered), ordered[rank - 1], ordered[-rank])


def _rank(number: int) -> int:
    """Return the largest k for which the k-th smallest and k-th largest values enclose the median confidently enough.

    The interval misses the median if fewer than k values lie below it, or fewer than k above it.
    """
    if number < LEAST_ROUNDS:
        raise ValueError(f"{number} values are too few for an interval; it needs {LEAST_ROUNDS}")
    below, rank = 0.0, 0
    while 2 * (below + math.comb(number, rank) / 2**number) <= 1 - CONFIDENCE:
        below += math.comb(number, rank) / 2**number
        rank += 1
    return rank


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def paired_ratio(times: Sequence[float], references: Sequence[float]) -> MedianInterval:
    """Return the median of the ratios of times to reference times that were measured right before them.

    Slow changes of the machine's speed change both times of a pair and cancel.

    Args:
        times, references: in seconds, positive, in the order of the rounds and equally many.
    """
    return median_interval([time / reference for time, reference in zip(times, references, strict=True)])


def quotient(numerator: MedianInterval, denominator: MedianInterval) -> MedianInterval:
    """Return the quotient of two independent positive medians.

    The ends of the interval combine the two intervals in quadrature, on a logarithmic scale (Zou & Donner 2008,
    "Construction of confidence limits about effect measures").
    """
    up = math.hypot(math.log(numerator.high / numerator.median), math.log(denominator.median / denominator.low))
    down = math.hypot(math.log(numerator.median / numerator.low), math.log(denominator.high / denominator.median))
    ratio = numerator.median / denominator.median
    return MedianInterval(ratio, ratio * math.exp(-down), ratio * math.exp(up))
