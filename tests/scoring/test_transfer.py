"""Transfer: its identities, its debiasing and the coverage of its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.transfer import TOO_ALIKE, Contrast, transfer, transfer_by_axis, transfer_terms
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec

SCORING = load_spec().scoring
GAP = np.array([0.7, -0.7, -0.1, 0.4, -0.6])


def noisy(means: FloatArray, seeds: int, entropy: int, spread: float = 0.03, image_error: float = 0.01) -> FloatArray:
    """(seeds, axes, 1 + 200): means with noise over seeds, and resamples with an error that all seeds share."""
    random = np.random.default_rng(entropy)
    values = means + random.normal(0, spread, (seeds, len(means)))
    shared = random.normal(0, image_error, (len(means), 200))
    return np.concatenate([values[..., None], values[..., None] + shared], axis=-1)


def contrast(students: FloatArray, teachers: FloatArray) -> Contrast:
    return Contrast(students, teachers, images=1000)


def defined(score: Estimate | Undefined) -> Estimate:
    assert isinstance(score, Estimate), score
    return score


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_students_equal_to_their_teachers_inherit_everything(seeds: int) -> None:
    teachers = noisy(GAP, seeds, 1)
    tau = defined(transfer(contrast(teachers, teachers), SCORING))
    assert (tau.low, tau.value, tau.high) == pytest.approx((1, 1, 1), abs=1e-5)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_students_equal_to_each_other_inherit_nothing(seeds: int) -> None:
    teachers = noisy(GAP, seeds, 1)
    tau = defined(transfer(contrast(np.zeros_like(teachers), teachers), SCORING))
    assert (tau.low, tau.value, tau.high) == (0, 0, 0)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_identical_teachers_leave_transfer_undefined(seeds: int) -> None:
    students = noisy(GAP, seeds, 1)
    assert transfer(contrast(students, np.zeros_like(students)), SCORING) == Undefined(reason=TOO_ALIKE)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_teachers_that_differ_by_noise_alone_leave_transfer_undefined(seeds: int) -> None:
    tau = transfer(contrast(noisy(GAP, seeds, 1), noisy(0 * GAP, seeds, 2)), SCORING)
    assert isinstance(tau, Undefined)


def test_half_the_difference_is_a_transfer_of_one_half() -> None:
    teachers = noisy(GAP, 1, 1)
    assert defined(transfer(contrast(teachers / 2, teachers), SCORING)).value == pytest.approx(0.5)


def test_overshoot_and_movement_away_are_shown_as_they_are() -> None:
    teachers = noisy(GAP, 1, 1)
    assert defined(transfer(contrast(1.5 * teachers, teachers), SCORING)).value == pytest.approx(1.5)
    assert defined(transfer(contrast(-0.2 * teachers, teachers), SCORING)).value == pytest.approx(-0.2)


@pytest.mark.parametrize(("seeds", "covers"), [(1, "images"), (2, "images"), (3, "seeds and images")])
def test_an_interval_over_seeds_needs_three(seeds: int, covers: str) -> None:
    tau = defined(transfer(contrast(noisy(GAP / 2, seeds, 2), noisy(GAP, seeds, 1)), SCORING))
    assert (tau.covers, tau.seeds) == (covers, seeds)
    assert tau.low < tau.value < tau.high


@given(st.permutations(range(5)), st.permutations(range(3)))
@settings(max_examples=20)
def test_the_order_of_axes_and_of_seeds_does_not_matter(axes: list[int], seeds: list[int]) -> None:
    students, teachers = noisy(GAP / 2, 3, 2), noisy(GAP, 3, 1)
    before = defined(transfer(contrast(students, teachers), SCORING))
    after = defined(transfer(contrast(students[seeds][:, axes], teachers[seeds][:, axes]), SCORING))
    assert (after.value, after.low, after.high) == pytest.approx((before.value, before.low, before.high), abs=2e-6)


def test_swapping_the_two_arms_changes_nothing() -> None:
    students, teachers = noisy(GAP / 2, 3, 2), noisy(GAP, 3, 1)
    assert transfer(contrast(-students, -teachers), SCORING) == transfer(contrast(students, teachers), SCORING)


def test_noise_over_seeds_does_not_inflate_the_terms() -> None:
    """Seeds in which students follow their own teacher's noise: without the correction both terms are too large."""
    random = np.random.default_rng(0)
    shared = random.normal(0, 0.3, (4000, 3, 5))
    students, teachers = GAP / 4 + shared, GAP + shared
    terms = np.mean([transfer_terms(s, t) for s, t in zip(students, teachers, strict=True)], axis=0)
    assert terms == pytest.approx([GAP @ GAP / 4, GAP @ GAP], abs=0.02)
    plain = np.mean([s.mean(axis=0) @ t.mean(axis=0) for s, t in zip(students, teachers, strict=True)])
    assert plain == pytest.approx(GAP @ GAP / 4 + 5 * 0.09 / 3, abs=0.02)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_over_seeds_covers_the_truth_as_often_as_it_says(seeds: int) -> None:
    hits = 0
    for repetition in range(600):
        teachers = noisy(GAP, seeds, 2 * repetition, spread=0.04, image_error=0)
        students = noisy(0.4 * GAP, seeds, 2 * repetition + 1, spread=0.04, image_error=0)
        tau = defined(transfer(contrast(students, teachers), SCORING))
        hits += tau.low <= 0.4 <= tau.high
    assert 0.92 <= hits / 600 <= 0.98


def test_axes_on_which_the_teachers_agree_have_no_transfer_of_their_own() -> None:
    gap = np.array([0.7, -0.7, -0.05, 0.4, -0.6])
    teachers = noisy(gap, 1, 1, spread=0)
    scores = transfer_by_axis(contrast(teachers / 2, teachers), BIAS_AXES, SCORING)
    assert list(scores) == ["texture", "shape", "scramble", "noise"]
    assert [defined(score).value for score in scores.values()] == pytest.approx([0.5] * 4)
