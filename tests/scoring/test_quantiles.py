"""Tukey's quantile against SciPy and a printed table, and the search for a zero."""

import math

import numpy as np
import pytest
from scipy.stats import studentized_range

from kdbench.scoring.quantiles import tukey_quantile, zero_between


@pytest.mark.parametrize(
    ("means", "degrees_of_freedom"), [(2, 2), (2, 10), (3, 4), (6, 20), (9, 32), (20, 76), (30, 1000), (9, math.inf)]
)
def test_tukeys_quantile_is_that_of_scipy(means: int, degrees_of_freedom: float) -> None:
    for confidence in (0.9, 0.95, 0.99):
        expected = studentized_range.ppf(confidence, means, degrees_of_freedom)
        assert tukey_quantile(confidence, means, degrees_of_freedom) == pytest.approx(expected, rel=1e-7)


def test_tukeys_quantile_is_that_of_the_printed_table() -> None:
    assert tukey_quantile(0.95, 3, 6) == pytest.approx(4.339, abs=1e-3)
    assert tukey_quantile(0.95, 7, 24) == pytest.approx(4.541, abs=1e-3)
    assert tukey_quantile(0.95, 10, 60) == pytest.approx(4.646, abs=1e-3)
    assert tukey_quantile(0.99, 5, 20) == pytest.approx(5.294, abs=1e-3)


def test_two_means_are_compared_as_by_a_t_test() -> None:
    assert tukey_quantile(0.95, 2, math.inf) == pytest.approx(math.sqrt(2) * 1.959964, rel=1e-6)


def test_the_zero_of_a_decreasing_function_is_found_to_rounding() -> None:
    assert zero_between(lambda x: 2 - x**2, 0, 5) == pytest.approx(math.sqrt(2), rel=1e-15)
    assert zero_between(lambda x: float(np.exp(-x) - 0.3), 0, 100) == pytest.approx(-math.log(0.3), rel=1e-14)
