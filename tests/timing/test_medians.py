"""Intervals of medians: known ranks, and coverage on simulated machines whose speed changes."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from kdbench.timing.medians import LEAST_ROUNDS, MedianInterval, median_interval, paired_ratio, quotient

ROUNDS, SESSIONS = 21, 1500
RATIO = 1.3  # true ratio of the step to the bare step


@pytest.mark.parametrize(("number", "rank"), [(6, 1), (9, 2), (15, 4), (20, 6), (21, 6), (25, 8)])
def test_ranks_are_those_of_the_sign_test(number: int, rank: int) -> None:
    """The ranks for 95 % of Dixon & Massey, Introduction to Statistical Analysis, table A-25."""
    interval = median_interval([float(value) for value in range(1, number + 1)])
    assert (interval.low, interval.high) == (rank, number + 1 - rank)
    assert interval.median == (number + 1) / 2


def test_too_few_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="too few"):
        median_interval([1.0] * (LEAST_ROUNDS - 1))


def shared_machine(random: Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times of bare steps and steps of one session.

    The speed of the machine wanders by a third over minutes, each step has noise of its own, and one in ten is
    interrupted for a while.
    """
    wander = np.empty(ROUNDS)
    wander[0] = random.normal(0, 0.3)
    for number in range(1, ROUNDS):
        wander[number] = 0.97 * wander[number - 1] + random.normal(0, 0.3 * np.sqrt(1 - 0.97**2))
    own = random.normal(0, 0.03, (2, ROUNDS)) + 0.5 * (random.random((2, ROUNDS)) < 0.1)
    bare, step = np.exp(wander + own)
    return bare, RATIO * step


def coverage(intervals: list[MedianInterval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def test_ratios_of_pairs_cover_the_truth_where_the_speed_wanders() -> None:
    random = np.random.default_rng(0)
    sessions = [shared_machine(random) for _ in range(SESSIONS)]
    paired = [paired_ratio(step.tolist(), bare.tolist()) for bare, step in sessions]
    assert 0.94 <= coverage(paired, RATIO) <= 0.985
    unpaired = [
        quotient(median_interval(step.tolist()), median_interval(bare.tolist()))
        for (_, step), (bare, _) in pairwise(sessions)
    ]
    assert coverage(unpaired, RATIO) < 0.8  # what the pairs are for


def test_quotients_of_ratios_cover_the_truth() -> None:
    random = np.random.default_rng(1)
    ratios = [
        [paired_ratio(*(times.tolist() for times in reversed(shared_machine(random)))) for _ in range(2)]
        for _ in range(SESSIONS)
    ]
    assert 0.94 <= coverage([quotient(*pair) for pair in ratios], 1.0) <= 0.995


def test_equal_code_is_rarely_called_slower() -> None:
    random = np.random.default_rng(2)
    ratios = [
        [paired_ratio(*(times.tolist() for times in reversed(shared_machine(random)))) for _ in range(2)]
        for _ in range(SESSIONS)
    ]
    assert np.mean([new.low > before.high for new, before in ratios]) < 0.01


def test_a_quotient_is_exact_without_noise() -> None:
    exact = quotient(MedianInterval(3.0, 3.0, 3.0), MedianInterval(2.0, 2.0, 2.0))
    assert (exact.median, exact.low, exact.high) == pytest.approx((1.5, 1.5, 1.5))
