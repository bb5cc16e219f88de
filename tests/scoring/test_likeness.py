"""Likeness of two networks' answers: textbook values, identities and bounds."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa

from kdbench.scoring.estimates import Undefined
from kdbench.scoring.likeness import (
    ErrorConsistency,
    agreement,
    divergence,
    error_consistency,
    label_kappa,
    prediction_entropy,
    wrong_label_agreement,
)
from kdbench.scoring.statistic import Statistic

Bools = NDArray[np.bool_]
Labels = NDArray[np.int64]


def defined(statistic: Statistic | Undefined) -> Statistic:
    assert isinstance(statistic, Statistic), statistic
    return statistic


def consistency(right_a: Bools, right_b: Bools) -> ErrorConsistency:
    statistic = error_consistency(right_a, right_b, 30)
    assert isinstance(statistic, ErrorConsistency), statistic
    return statistic


def reason(statistic: object) -> str:
    assert isinstance(statistic, Undefined), statistic
    return statistic.reason


def crossed(both: int, only_a: int, only_b: int, neither: int) -> tuple[Bools, Bools]:
    """Two networks' right answers from the four counts of a cross table."""
    counts = (both, only_a, only_b, neither)
    a, b = (np.repeat(pattern, counts).astype(bool) for pattern in ([1, 1, 0, 0], [1, 0, 1, 0]))
    return a, b


def test_kappa_is_that_of_the_textbook() -> None:
    """Two readers on 50 proposals: 20 both yes, 5 and 10 differ, 15 both no: p_o = .7, p_e = .5, kappa = .4."""
    a, b = crossed(40, 10, 20, 30)
    assert consistency(a, b).kappa.value == pytest.approx(0.4)
    assert defined(label_kappa(a.astype(int), b.astype(int), 2)).value == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(5))
def test_kappas_and_their_errors_are_those_of_scikit_learn_and_statsmodels(seed: int) -> None:
    random = np.random.default_rng(seed)
    target = random.integers(0, 4, 300)
    label_a, label_b = (np.where(random.random(300) < 0.5, target, random.integers(0, 4, 300)) for _ in range(2))
    of_labels = defined(label_kappa(label_a, label_b, 4))
    of_errors = consistency(label_a == target, label_b == target).kappa
    for kappa, answers in ((of_labels, (label_a, label_b)), (of_errors, (label_a == target, label_b == target))):
        table = cohens_kappa(confusion_matrix(*answers))
        assert kappa.value == pytest.approx(cohen_kappa_score(*answers), abs=1e-12)
        assert kappa.value == pytest.approx(table.kappa, abs=1e-12)
        assert kappa.error(np.zeros(300, int)) == pytest.approx(table.std_kappa, rel=1e-9)


def test_kappa_of_networks_that_err_independently_is_zero_within_its_error() -> None:
    random = np.random.default_rng(0)
    a, b = random.random(20_000) < 0.8, random.random(20_000) < 0.6
    kappa = consistency(a, b).kappa
    error = kappa.error(np.zeros(20_000, int))
    # Fleiss, Cohen & Everitt (1969): standard error of kappa between independent raters
    p_e, products = 0.8 * 0.6 + 0.2 * 0.4, 0.8 * 0.6 * (0.8 + 0.6) + 0.2 * 0.4 * (0.2 + 0.4)
    assert error == pytest.approx(np.sqrt((p_e + p_e**2 - products) / 20_000) / (1 - p_e), rel=0.05)
    assert abs(kappa.value) < 3 * error


def test_the_same_errors_are_a_kappa_of_one_and_opposite_errors_of_minus_one() -> None:
    a, _ = crossed(50, 0, 0, 50)
    assert consistency(a, a).kappa.value == pytest.approx(1)
    assert consistency(a, ~a).kappa.value == pytest.approx(-1)


def test_unequal_accuracies_cap_kappa_and_the_relative_one_is_one_there() -> None:
    """One network's errors lie within the other's: as consistent as accuracies of .9 and .5 allow."""
    statistic = consistency(*crossed(500, 400, 0, 100))
    assert statistic.kappa.value == pytest.approx(statistic.ceiling.value)
    assert statistic.ceiling.value == pytest.approx((1 - 0.4 - 0.5) / 0.5)
    assert defined(statistic.relative).value == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((100, 0, 0, 0), "one network makes only 0 errors; at least 30"),
        ((71, 0, 900, 29), "one network makes only 29 errors"),
        ((0, 0, 0, 100), "both networks are always wrong"),
    ],
)
def test_too_few_errors_or_none_right_leave_consistency_undefined(
    counts: tuple[int, int, int, int], words: str
) -> None:
    assert words in reason(error_consistency(*crossed(*counts), 30))


@given(st.tuples(*[st.integers(0, 60)] * 4))
@settings(max_examples=100)
def test_consistency_is_symmetric_bounded_and_below_its_ceiling(counts: tuple[int, int, int, int]) -> None:
    a, b = crossed(*counts)
    statistic, swapped = error_consistency(a, b, 30), error_consistency(b, a, 30)
    if isinstance(statistic, Undefined) or isinstance(swapped, Undefined):
        assert statistic == swapped
        return
    assert statistic.kappa.value == pytest.approx(swapped.kappa.value)
    assert -1 - 1e-12 <= statistic.kappa.value <= statistic.ceiling.value + 1e-12 <= 1 + 2e-12
    assert abs(statistic.kappa.effects.sum()) < 1e-9


def test_independent_guesses_agree_on_one_wrong_label_in_nine() -> None:
    random = np.random.default_rng(1)
    target = np.zeros(30_000, int)
    a, b = random.integers(0, 10, (2, 30_000))
    statistic = defined(wrong_label_agreement(a, b, target, 100))
    assert statistic.value == pytest.approx(1 / 9, abs=4 * statistic.error(target))
    assert statistic.error(target) == pytest.approx(np.sqrt(8 / 81 / (0.81 * 30_000)), rel=0.05)


def test_wrong_label_agreement_needs_a_hundred_images_that_both_get_wrong() -> None:
    target = np.zeros(300, int)
    wrong = np.where(np.arange(300) < 99, 1, 0)
    assert "only 99 of the same images wrong" in reason(wrong_label_agreement(wrong, wrong, target, 100))
    assert defined(wrong_label_agreement(target + 1, target + 1, target, 100)).value == 1


labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(labels, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_agreement_and_kappa_are_symmetric_bounded_and_blind_to_the_order_of_images(
    pairs: list[tuple[int, int]], random: object
) -> None:
    a, b = np.array(pairs).T
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    assert 0 <= defined(agreement(a, b)).value <= 1
    kappa, swapped, moved = label_kappa(a, b, 5), label_kappa(b, a, 5), label_kappa(a[order], b[order], 5)
    if isinstance(kappa, Undefined):
        assert len(set(a) | set(b)) == 1
        assert kappa == swapped == moved
        return
    assert -1 - 1e-12 <= kappa.value <= 1 + 1e-12
    assert defined(swapped).value == pytest.approx(kappa.value)
    assert defined(moved).value == pytest.approx(kappa.value)


def test_answers_that_do_not_change_under_permutation_are_fully_consistent() -> None:
    answers = np.arange(200) % 10
    assert defined(agreement(answers, answers)).value == 1
    assert defined(label_kappa(answers, answers, 10)).value == pytest.approx(1)


def test_a_constant_predictor_is_consistent_but_has_no_kappa() -> None:
    answers = np.full(200, 3)
    assert defined(agreement(answers, answers)).value == 1
    assert "one and the same answer" in reason(label_kappa(answers, answers, 10))


def test_without_images_nothing_is_defined() -> None:
    none = np.array([], int)
    functions: list[Callable[[], object]] = [
        lambda: agreement(none, none),
        lambda: label_kappa(none, none, 10),
        lambda: divergence([]),
        lambda: prediction_entropy(none, 10),
    ]
    assert {reason(function()) for function in functions} == {"there are no images"}


def test_divergence_is_a_mean_and_needs_a_teacher() -> None:
    assert defined(divergence([0.0, 0.5, 1.0])).value == pytest.approx(0.5)
    assert "no teacher" in reason(divergence([0.0, np.nan]))


def test_entropy_is_one_for_balanced_answers_and_zero_for_a_collapsed_network() -> None:
    assert prediction_entropy(np.arange(100) % 10, 10) == pytest.approx(1)
    assert prediction_entropy(np.full(100, 7), 10) == 0
    assert prediction_entropy(np.arange(100) % 2, 10) == pytest.approx(np.log(2) / np.log(10))
