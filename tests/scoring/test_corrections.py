"""Adjusted p-values against worked examples and against statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from kdbench.scoring.corrections import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]) == ()


def test_tests_that_could_not_be_made_count_in_holms_family() -> None:
    assert holm([0.01, 0.03], tests=4) == pytest.approx([0.04, 0.09])
    assert holm([0.01, 0.03], tests=1) == holm([0.01, 0.03])


def test_benjamini_and_hochberg_of_a_worked_example() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert benjamini_hochberg([0.9, 0.001, 0.6]) == pytest.approx([0.9, 0.003, 0.9])
    assert benjamini_hochberg([]) == ()


@given(P_VALUES)
def test_holm_lies_between_the_single_p_and_bonferronis(p_values: list[float]) -> None:
    for p_value, adjusted in zip(p_values, holm(p_values), strict=True):
        assert p_value <= adjusted <= min(1, len(p_values) * p_value) + 1e-12


@given(P_VALUES, st.integers(0, 4))
def test_holm_is_that_of_statsmodels_also_for_tests_that_were_not_made(p_values: list[float], unmade: int) -> None:
    _, expected, *_ = multipletests([*p_values, *[1.0] * unmade], method="holm")
    np.testing.assert_allclose(holm(p_values, tests=len(p_values) + unmade), expected[: len(p_values)], atol=1e-12)


@given(P_VALUES)
def test_benjamini_and_hochberg_is_that_of_statsmodels(p_values: list[float]) -> None:
    _, expected, *_ = multipletests(p_values, method="fdr_bh")
    np.testing.assert_allclose(benjamini_hochberg(p_values), expected, atol=1e-12)
