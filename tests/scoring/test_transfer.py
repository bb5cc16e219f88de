"""Transfer: its identities, what cancels, its debiasing and the coverage of its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.intervals import p_above_zero
from kdbench.scoring.transfer import TOO_ALIKE, excess, transfer, transfer_by_axis, transfer_by_seed, transfer_number
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec
from tests.scoring.contrasts import GAP, contrast, drawn, noisy

SCORING = load_spec().scoring


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


def test_each_seed_has_the_transfer_of_its_own_pair_of_teachers() -> None:
    teachers = noisy(GAP, 3, 1)
    students = teachers * np.array([0.2, 0.5, 0.8])[:, None, None]
    by_seed = transfer_by_seed(contrast(students, teachers), (4, 1, 7), SCORING)
    assert {seed: defined(tau).value for seed, tau in by_seed.items()} == pytest.approx({4: 0.2, 1: 0.5, 7: 0.8})
    assert {(defined(tau).seeds, defined(tau).covers) for tau in by_seed.values()} == {(1, "images")}


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


def test_effects_that_both_students_share_cancel() -> None:
    """Better regularisation, another student family or backbone: whatever moves both students of a seed alike."""
    teachers = noisy(GAP, 5, 1)
    of_a, of_b = noisy(0.4 * GAP, 5, 2), noisy(0 * GAP, 5, 3)
    effect = noisy(np.array([0.3, -0.2, 0.1, 0.4, -0.5]), 5, 4, spread=0.2)
    before = transfer(contrast(of_a - of_b, teachers), SCORING)
    assert transfer(contrast((of_a + effect) - (of_b + effect), teachers), SCORING) == before


def test_students_that_follow_pairs_of_any_dose_have_the_same_transfer() -> None:
    """Each seed has its own dose: scaling a pair of teachers, and with it their students, changes nothing."""
    doses = np.array([1.0, 0.5, 0.7, 0.6, 0.9])[:, None, None]
    students, teachers = 0.4 * noisy(GAP, 5, 1, spread=0), noisy(GAP, 5, 1, spread=0)
    whole, scaled = (transfer(contrast(dose * students, dose * teachers), SCORING) for dose in (1.0, doses))
    assert defined(scaled).value == pytest.approx(defined(whole).value, abs=1e-6)
    assert (defined(scaled).low, defined(scaled).high) == pytest.approx((0.4, 0.4), abs=1e-5)


def test_a_seed_whose_teachers_differ_little_weighs_little() -> None:
    """Its students' difference counts in proportion to that of its teachers, so its noise does, too."""
    teachers = noisy(GAP, 4, 1, spread=0)
    noise = 0.2 * teachers[:1]
    weak = np.concatenate([teachers[:3], 0.1 * teachers[3:]])
    errors = [
        defined(transfer(contrast(np.concatenate([0.4 * part[:3], 0.4 * part[3:] + noise]), part), SCORING)).value - 0.4
        for part in (teachers, weak)
    ]
    assert errors == pytest.approx([0.2 / 4, 0.1 * 0.2 / 3.01], rel=1e-3)


def test_the_finite_test_sets_do_not_inflate_the_products() -> None:
    """Errors over images that students and teachers share: without the correction both products are too large."""
    random = np.random.default_rng(0)
    sums = np.zeros((2, 2))
    for _ in range(400):
        errors = random.normal(0, 0.1, (1, 5, 101))
        errors[..., 1:] += errors[..., :1]
        teachers, students = GAP[:, None] + errors, GAP[:, None] / 4 + errors
        products = contrast(students, teachers).products()[0, :, 0]
        sums += np.stack([products, [(students * teachers)[0, :, 0].sum(), (teachers[0, :, 0] ** 2).sum()]])
    corrected, plain = sums / 400
    assert corrected == pytest.approx([GAP @ GAP / 4, GAP @ GAP], abs=0.03)
    assert plain == pytest.approx([GAP @ GAP / 4 + 0.05, GAP @ GAP + 0.05], abs=0.03)


def test_students_that_follow_the_noise_of_their_teachers_have_learned_it_from_them() -> None:
    """The difference between the two teachers of a seed is what the students were given, noise over seeds included."""
    teachers = noisy(GAP, 5, 1, spread=0.1, image_error=0)
    assert defined(transfer(contrast(0.4 * teachers, teachers), SCORING)).value == pytest.approx(0.4)


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.4, 1.0])
def test_a_test_against_a_margin_agrees_with_the_interval(margin: float) -> None:
    """Fieller's interval touches the margin where its two-sided test has the level of the interval."""
    for entropy in range(40):
        sample = drawn(margin + 0.03, entropy)
        score = defined(transfer(sample, SCORING))
        p_value = p_above_zero(*excess(sample, margin))
        if abs(score.low - margin) > 1e-5:
            assert (score.low > margin) == (p_value < 0.025)


def test_the_number_of_products_is_the_transfer_of_the_contrast() -> None:
    sample = drawn(0.4, 0)
    number = transfer_number(sample.products())
    assert number.shape == (201,)
    assert number[0] == pytest.approx(defined(transfer(sample, SCORING)).value, abs=1e-6)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_over_seeds_covers_the_truth_as_often_as_it_says(seeds: int) -> None:
    hits = 0
    for repetition in range(600):
        tau = defined(transfer(drawn(0.4, repetition, seeds=seeds, spread=0.04, image_error=1e-4), SCORING))
        hits += tau.low <= 0.4 <= tau.high
    assert 0.92 <= hits / 600 <= 0.98


def test_axes_on_which_the_teachers_agree_have_no_transfer_of_their_own() -> None:
    gap = np.array([0.7, -0.7, -0.05, 0.4, -0.6])
    teachers = noisy(gap, 1, 1, spread=0)
    scores = transfer_by_axis(contrast(teachers / 2, teachers), BIAS_AXES, SCORING)
    assert list(scores) == ["texture", "shape", "scramble", "noise"]
    assert [defined(score).value for score in scores.values()] == pytest.approx([0.5] * 4)
