"""Intervals: textbook values, exact counts, and what an interval covers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from kdbench.scoring.intervals import StandardErrors, estimate, normal_quantile, p_above_zero, t_quantile
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.resampling import Resampler, class_sums
from kdbench.testsets.spec import load_spec

SCORING = load_spec().scoring
TARGET = (np.arange(1000) % 10).astype(np.int16)


def resampled_shares(right: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], samples: int = 1000) -> FloatArray:
    sums = class_sums(Resampler(samples).strata("clean", TARGET), right[:, None].astype(np.float32))
    share: FloatArray = sums[0].sum(axis=-1) / len(TARGET)
    return share


def test_quantiles_are_those_of_the_tables() -> None:
    assert t_quantile(0.95, 2) == pytest.approx(4.303, abs=1e-3)
    assert t_quantile(0.95, 4) == pytest.approx(2.776, abs=1e-3)
    assert normal_quantile(0.95) == pytest.approx(1.960, abs=1e-3)


def test_the_first_resample_is_the_data_and_all_keep_the_class_sizes() -> None:
    for stratum in Resampler(50).strata("clean", TARGET):
        assert (stratum.counts[0] == 1).all()
        assert (stratum.counts.sum(axis=1) == 100).all()


def test_resamples_depend_on_the_name_of_the_set_and_on_nothing_else() -> None:
    first, again, other = (Resampler(5).strata(name, TARGET)[0].counts for name in ("clean", "clean", "cue-conflict"))
    assert (first == again).all()
    assert (first != other).any()


def test_resampling_weights_are_pinned() -> None:
    """The generator is counter-based and integer: these counts are the same on every machine."""
    counts = Resampler(3).strata("clean", np.zeros(6, np.int16))[0].counts
    assert counts[1:].tolist() == [[0, 0, 1, 2, 2, 1], [0, 1, 0, 1, 2, 2], [1, 1, 0, 2, 2, 0]]


@pytest.mark.parametrize("numbers", [1, 7, 400])
def test_sums_over_resamples_are_exact_however_many_there_are(numbers: int) -> None:
    strata = Resampler(60).strata("clean", TARGET)
    values = np.random.default_rng(0).integers(0, 4, (1000, numbers)).astype(np.float32)
    expected = [stratum.counts.astype(int) @ values[stratum.positions].astype(int) for stratum in strata]
    assert (class_sums(strata, values) == np.stack(expected, axis=-1).swapaxes(0, 1)).all()


def test_bootstrap_error_of_a_share_is_the_binomial_one() -> None:
    right = np.arange(1000) // 10 < 30
    assert resampled_shares(right)[1:].std() == pytest.approx(np.sqrt(0.3 * 0.7 / 1000), rel=0.06)


def test_resamples_are_paired_between_networks() -> None:
    right = np.arange(1000) // 10 < 30
    also = np.arange(1000) // 10 < 31
    difference = resampled_shares(also) - resampled_shares(right)
    assert difference[1:].std() < 0.3 * resampled_shares(right)[1:].std()


def test_fewer_seeds_than_needed_give_an_interval_over_images_alone() -> None:
    shares = resampled_shares(np.arange(1000) // 10 < 30)
    for seeds in (1, 2):
        interval = estimate(np.stack([shares] * seeds), 1000, SCORING, share=True)
        assert (interval.covers, interval.seeds, interval.images) == ("images", seeds, 1000)
        assert interval.value == pytest.approx(0.3)
        assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 1000), rel=0.1)


def test_with_three_seeds_it_is_a_t_interval_when_images_do_not_matter() -> None:
    """Mean 2, standard deviation 1, three seeds: 2 +- 4.303 / sqrt(3)."""
    interval = estimate(np.array([[1.0] * 11, [2.0] * 11, [3.0] * 11]), 10, SCORING)
    assert interval.covers == "seeds and images"
    assert (interval.low, interval.high) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)


def test_image_variance_is_added_in_quadrature_and_does_not_shrink_with_seeds() -> None:
    shares = resampled_shares(np.arange(1000) // 10 < 30)
    few, many = (estimate(np.stack([shares] * seeds), 1000, SCORING) for seeds in (3, 10))
    assert many.high - many.low == pytest.approx(few.high - few.low)
    wide = estimate(np.stack([shares - 0.1, shares, shares + 0.1]), 1000, SCORING)
    over_seeds = 4.3027 * 0.1 / np.sqrt(3)
    assert (wide.high - wide.low) / 2 == pytest.approx(np.hypot(over_seeds, (few.high - few.low) / 2), rel=1e-4)


def test_all_right_has_the_exact_binomial_bound_and_not_an_empty_interval() -> None:
    """Clopper and Pearson's two-sided 95 % interval for 100 of 100: [.9638, 1]."""
    interval = estimate(np.ones((1, 11)), 100, SCORING, share=True)
    assert (interval.low, interval.high) == pytest.approx((0.96378, 1.0), abs=1e-5)
    none = estimate(np.zeros((3, 11)), 100, SCORING, share=True)
    assert (none.low, none.high) == pytest.approx((0.0, 0.03622), abs=1e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 2**32))
@settings(max_examples=50)
def test_an_interval_of_a_share_holds_its_value_and_stays_a_share(seeds: list[float], entropy: int) -> None:
    noise = np.random.default_rng(entropy).normal(0, 0.05, (len(seeds), 40))
    samples = np.clip(np.concatenate([np.array(seeds)[:, None], np.array(seeds)[:, None] + noise], axis=1), 0, 1)
    interval = estimate(samples, 200, SCORING, share=True)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_one_sided_p_is_students_without_image_error_and_normal_without_seed_error() -> None:
    assert p_above_zero(2.776, StandardErrors(seeds=1.0, images=0.0, count=5)) == pytest.approx(0.025, abs=1e-4)
    assert p_above_zero(1.645, StandardErrors(seeds=0.0, images=1.0, count=5)) == pytest.approx(0.05, abs=1e-4)
    assert p_above_zero(-1.645, StandardErrors(seeds=0.0, images=1.0, count=5)) == pytest.approx(0.95, abs=1e-4)
    assert p_above_zero(0.1, StandardErrors(seeds=0.0, images=0.0, count=5)) == 0


SEED_VALUES = st.lists(st.floats(-1, 1), min_size=3, max_size=8).filter(lambda values: np.std(values) > 1e-3)


@given(SEED_VALUES)
def test_without_image_error_the_interval_is_students_of_scipy(values: list[float]) -> None:
    seeds = np.array(values)
    score = estimate(np.repeat(seeds[:, None], 5, axis=1), 100, SCORING)
    low, high = stats.ttest_1samp(seeds, 0).confidence_interval(SCORING.confidence)
    assert (score.low, score.high) == pytest.approx((low, high), abs=1e-6)


@given(SEED_VALUES)
def test_without_image_error_p_is_that_of_scipys_one_sided_t_test(values: list[float]) -> None:
    seeds = np.array(values)
    errors = StandardErrors(seeds=float(seeds.std(ddof=1) / np.sqrt(len(seeds))), images=0.0, count=len(seeds))
    expected = stats.ttest_1samp(seeds, 0, alternative="greater").pvalue
    assert p_above_zero(float(seeds.mean()), errors) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("images", [50, 1000])
def test_the_bound_of_a_share_of_all_or_none_is_clopper_and_pearsons_of_statsmodels(images: int) -> None:
    for share in (0.0, 1.0):
        score = estimate(np.full((3, 5), share), images, SCORING, share=True)
        low, high = proportion_confint(share * images, images, alpha=1 - SCORING.confidence, method="beta")
        assert (score.low, score.high) == pytest.approx((low, high), abs=1e-6)
