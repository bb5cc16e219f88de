"""The jackknife against textbook values, and Fieller's interval against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.scoring.jackknife import fieller, jackknife_covariance, left_out


def test_jackknife_of_a_mean_is_its_textbook_variance() -> None:
    values = np.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    folds = np.array([[np.delete(values, k).mean()] for k in range(len(values))])
    assert jackknife_covariance(folds)[0, 0] == pytest.approx(values.var(ddof=1) / len(values))


def test_each_fold_lacks_one_seed_of_all_parts() -> None:
    first, second = np.array([[1.0], [2.0], [4.0]]), np.array([[10.0], [20.0], [40.0]])
    folds = left_out(lambda some, others: (some * others).sum(axis=0), (first, second))
    assert folds.tolist() == [[40.0 + 160.0], [10.0 + 160.0], [10.0 + 40.0]]


def test_fieller_with_a_known_denominator_is_the_plain_interval() -> None:
    assert fieller(3.0, 2.0, np.array([[0.25, 0.0], [0.0, 0.0]])) == pytest.approx((1.25, 1.75))


def test_fieller_has_no_bounds_when_the_denominator_may_be_zero() -> None:
    assert fieller(3.0, 2.0, np.array([[0.1, 0.0], [0.0, 4.1]])) is None
    assert fieller(3.0, -2.0, np.array([[0.1, 0.0], [0.0, 0.1]])) is None


@given(st.floats(-5, 5), st.floats(0.5, 5), st.floats(1e-3, 1), st.floats(0.01, 0.9), st.floats(-0.95, 0.95))
def test_at_fieller_s_bounds_the_difference_is_just_within_its_error(
    numerator: float, denominator: float, nn: float, relative: float, correlation: float
) -> None:
    qq = (relative * denominator) ** 2
    nq = correlation * np.sqrt(nn * qq)
    bounds = fieller(numerator, denominator, np.array([[nn, nq], [nq, qq]]))
    assert bounds is not None
    assert bounds[0] <= numerator / denominator <= bounds[1]
    for ratio in bounds:
        error = nn - 2 * ratio * nq + ratio**2 * qq
        assert (numerator - ratio * denominator) ** 2 == pytest.approx(error, rel=1e-4, abs=1e-6)
