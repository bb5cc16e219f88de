"""Metrics: known answers and bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from kdbench.scoring.metrics import bias_ratio, chance_corrected, macro_accuracy, shape_bias


def array_of(value: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([value])


def test_macro_accuracy_weighs_classes_not_images() -> None:
    assert macro_accuracy(np.array([90.0, 0.0]), np.array([90.0, 10.0])) == pytest.approx(0.5)


def test_a_class_without_images_is_left_out() -> None:
    assert macro_accuracy(np.array([3.0, 0.0, 1.0]), np.array([4.0, 0.0, 4.0])) == pytest.approx(0.5)


def test_macro_accuracy_without_images_is_not_a_number() -> None:
    assert np.isnan(macro_accuracy(np.zeros(3), np.zeros(3)))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_macro_accuracy_is_the_balanced_accuracy_of_scikit_learn(answers: list[tuple[int, int]]) -> None:
    target, label = (np.array(column) for column in zip(*answers, strict=True))
    totals = np.bincount(target, minlength=5).astype(float)
    hits = np.bincount(target[label == target], minlength=5).astype(float)
    assert macro_accuracy(hits, totals) == pytest.approx(balanced_accuracy_score(target, label), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_macro_accuracy_is_a_share(counts: list[tuple[int, int]]) -> None:
    hits, misses = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    accuracy = macro_accuracy(hits, hits + misses)
    assert np.isnan(accuracy) if not (hits + misses).any() else 0 <= accuracy <= 1


def test_bias_is_zero_at_chance_and_one_without_loss() -> None:
    assert chance_corrected(array_of(0.1), array_of(0.95), 10) == pytest.approx(0)
    assert chance_corrected(array_of(0.95), array_of(0.95), 10) == pytest.approx(1)


def test_bias_below_chance_is_negative() -> None:
    assert chance_corrected(array_of(0.05), array_of(0.6), 10) == pytest.approx(-0.1)


def test_ratio_at_chance_looks_good_and_bias_does_not() -> None:
    """The flaw of the paper's ratio: a network at 17 % clean and chance elsewhere reads .59."""
    assert bias_ratio(array_of(0.1), array_of(0.17)) == pytest.approx(0.588, abs=1e-3)
    assert chance_corrected(array_of(0.1), array_of(0.17), 10) == pytest.approx(0)


def test_what_has_no_denominator_is_not_a_number() -> None:
    assert np.isnan(bias_ratio(array_of(0.1), array_of(0.0)))
    assert np.isnan(chance_corrected(array_of(0.3), array_of(0.1), 10))
    assert np.isnan(shape_bias(array_of(0.0), array_of(0.0)))


def test_shape_bias_is_the_share_of_shape_among_decisions_by_either_cue() -> None:
    assert shape_bias(array_of(0.6), array_of(0.2)) == pytest.approx(0.75)
    assert shape_bias(array_of(0.1), array_of(0.1)) == pytest.approx(0.5)
