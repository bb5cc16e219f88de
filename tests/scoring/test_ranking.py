"""Ranks and tests: textbook values, who shares a rank, and how often equals are told apart."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.formula.api import ols

from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.ranking import (
    RankedNumber,
    RankInterval,
    common_seeds,
    rank_intervals,
    residual_mean_square,
)


def average(values: FloatArray) -> FloatArray:
    mean: FloatArray = values.mean(axis=0)
    return mean


def row(values: list[float] | FloatArray, images: FloatArray | None = None) -> RankedNumber:
    """A row whose number is the mean of one value a seed."""
    data = np.asarray(values, dtype=float)[:, None]
    resamples = data + (np.zeros(50) if images is None else images)
    return RankedNumber(tuple(range(len(data))), (np.concatenate([data, resamples], axis=1),), average)


def ranks(*rows: RankedNumber) -> list[tuple[int, int]]:
    return [(interval.low, interval.high) for interval in rank_intervals(rows, 0.95)]


def test_pseudo_values_of_a_mean_are_the_values() -> None:
    assert row([1.0, 2.0, 4.0]).pseudo_values() == pytest.approx([1, 2, 4])


def test_the_residual_of_a_table_is_what_rows_and_columns_leave() -> None:
    effects = np.array([[0.0], [1.0], [5.0]]) + np.array([0.0, 3.0, -1.0, 2.0])
    assert residual_mean_square(effects) == pytest.approx(0)
    bumped = effects.copy()
    bumped[0, 0] += 6.0
    assert residual_mean_square(bumped) == pytest.approx(36 * (2 / 3) * (3 / 4) / 6)


def test_rows_differ_from_tukeys_range_on() -> None:
    """q(.95; 3, 6) = 4.339: with MS = 1 and four seeds, means must be 2.17 apart."""
    noise = np.array([[1.0, -1.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 0.0], [0.0, 1.0, -1.0, 0.0]])
    assert residual_mean_square(noise) == pytest.approx(1)
    for step, expected in ((2.15, [(2, 3), (1, 2), (1, 3)]), (2.19, [(2, 3), (1, 1), (2, 3)])):
        rows = [row(values + mean) for values, mean in zip(noise, (0.0, step, 0.01), strict=True)]
        intervals = ranks(*rows)
        assert intervals == expected if step > 2.17 else intervals == [(1, 3)] * 3


def test_two_rows_are_compared_like_a_paired_t_test() -> None:
    """Difference 2.0 with standard deviation 1 over five seeds: t = 4.47 > 2.776; with .9 it is 2.01."""
    difference = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    base = np.array([0.3, -0.4, 0.8, 0.1, -0.2])
    assert ranks(row(base), row(base + difference + 2.0)) == [(2, 2), (1, 1)]
    assert ranks(row(base), row(base + difference + 0.9)) == [(1, 2), (1, 2)]


def test_what_a_seed_does_to_all_rows_does_not_matter() -> None:
    seeds, spread = np.array([0.0, 10.0, -7.0, 3.0, 1.0]), np.array([0.1, -0.1, 0.0, 0.05, -0.05])
    assert ranks(row(seeds + spread), row(seeds - spread + 1.0)) == [(2, 2), (1, 1)]


def test_image_error_of_the_difference_keeps_rows_together() -> None:
    spread = np.array([0.1, -0.1, 0.0, 0.05, -0.05])
    noise = np.random.default_rng(0).normal(0, 1.0, (2, 50))
    apart = [row(spread), row(1.0 - spread)]
    assert ranks(*apart) == [(2, 2), (1, 1)]
    assert ranks(row(spread, noise[0]), row(1.0 - spread, noise[1])) == [(1, 2), (1, 2)]
    assert ranks(row(spread, noise[0]), row(1.0 - spread, noise[0])) == [(2, 2), (1, 1)]


def test_a_single_row_and_identical_rows_share_the_first_rank() -> None:
    assert ranks(row([1.0, 2.0, 3.0])) == [(1, 1)]
    assert ranks(row([1.0, 2.0, 3.0]), row([1.0, 2.0, 3.0])) == [(1, 2), (1, 2)]
    assert rank_intervals([], 0.95) == ()


@given(st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=2, max_size=4), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_rank_intervals_hold_every_row_and_do_not_depend_on_the_order(tables: list[list[float]], entropy: int) -> None:
    rows = [row(values) for values in tables]
    intervals = rank_intervals(rows, 0.95)
    assert all(1 <= interval.low <= interval.high <= len(rows) for interval in intervals)
    order = np.random.default_rng(entropy).permutation(len(rows))
    assert rank_intervals([rows[place] for place in order], 0.95) == tuple(intervals[place] for place in order)


def test_equal_methods_are_told_apart_as_rarely_as_said() -> None:
    """Seven equal methods, five seeds that shift all of them: any two differ in about 5 % of boards."""
    random = np.random.default_rng(0)
    separated = 0
    for _ in range(400):
        seeds = random.normal(0, 0.05, 5)
        intervals = rank_intervals([row(seeds + random.normal(0, 0.03, 5)) for _ in range(7)], 0.95)
        separated += any(interval != RankInterval(1, 7) for interval in intervals)
    assert 0.02 <= separated / 400 <= 0.085


def test_rows_are_compared_on_the_seeds_that_they_share() -> None:
    five, ten = tuple(range(5)), tuple(range(10))
    assert common_seeds({0: five, 1: ten}, 5) == (five, (0, 1))
    assert common_seeds({0: ten, 1: ten}, 5) == (ten, (0, 1))
    assert common_seeds({0: (5, 6, 7, 8, 9), 1: five, 2: ten}, 5) == (five, (1, 2))
    assert common_seeds({}, 5) == ((), ())


def test_a_row_on_some_of_its_seeds() -> None:
    assert row([1.0, 2.0, 4.0]).on((2, 0)).pseudo_values() == pytest.approx([4, 1])


def test_the_residual_mean_square_is_that_of_a_two_way_analysis_of_variance() -> None:
    table = np.random.default_rng(0).normal(size=(4, 5))
    methods, seeds = (place.ravel().astype(str) for place in np.indices(table.shape))
    fit = ols(
        "value ~ C(method) + C(seed)", pd.DataFrame({"value": table.ravel(), "method": methods, "seed": seeds})
    ).fit()
    assert residual_mean_square(table) == pytest.approx(fit.mse_resid)
