"""Statistics carry their image error: against the bootstrap, the formulas of textbooks and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdbench.scoring.likeness import ErrorConsistency, error_consistency, label_kappa, wrong_label_agreement
from kdbench.scoring.statistic import Statistic, average, mean

ONE_STRATUM = np.zeros(2000, int)


def answers() -> NDArray[np.int64]:
    """Target and the answers of two networks that err alike: (3, 2000)."""
    random = np.random.default_rng(3)
    target = np.arange(2000) % 10
    hard = random.random(2000)
    a, b = (np.where(hard + 0.4 * random.random(2000) < 0.8, target, random.integers(0, 10, 2000)) for _ in range(2))
    return np.stack([target, a, b])


def kappa(rows: NDArray[np.int64]) -> Statistic:
    statistic = error_consistency(rows[1] == rows[0], rows[2] == rows[0], 30)
    assert isinstance(statistic, ErrorConsistency)
    return statistic.kappa


def relative(rows: NDArray[np.int64]) -> Statistic:
    statistic = error_consistency(rows[1] == rows[0], rows[2] == rows[0], 30)
    assert isinstance(statistic, ErrorConsistency)
    assert isinstance(statistic.relative, Statistic)
    return statistic.relative


def wrong_labels(rows: NDArray[np.int64]) -> Statistic:
    statistic = wrong_label_agreement(rows[1], rows[2], rows[0], 100)
    assert isinstance(statistic, Statistic)
    return statistic


def of_labels(rows: NDArray[np.int64]) -> Statistic:
    statistic = label_kappa(rows[1], rows[2], 10)
    assert isinstance(statistic, Statistic)
    return statistic


@pytest.mark.parametrize("statistic", [kappa, relative, wrong_labels, of_labels])
def test_the_error_over_images_is_that_of_the_bootstrap(statistic: object) -> None:
    rows = answers()
    random = np.random.default_rng(0)
    values = [statistic(rows[:, random.integers(0, 2000, 2000)]).value for _ in range(600)]  # type: ignore[operator]
    assert statistic(rows).error(ONE_STRATUM) == pytest.approx(np.std(values), rel=0.1)  # type: ignore[operator]


def test_a_difference_of_kappas_is_paired_by_image() -> None:
    """Two kappas with one network in common, on the same images: their errors largely cancel."""
    rows = answers()
    nearly = rows.copy()
    nearly[1, :40] = (nearly[1, :40] + 1) % 10
    difference = kappa(rows) - kappa(nearly)
    assert difference.error(ONE_STRATUM) < 0.5 * kappa(rows).error(ONE_STRATUM)


def test_a_share_has_the_binomial_error_and_strata_remove_what_they_explain() -> None:
    share = mean(np.arange(1000) < 300)
    assert share.error(np.zeros(1000, int)) == pytest.approx(np.sqrt(0.3 * 0.7 / 1000))
    assert share.error((np.arange(1000) < 300).astype(int)) == pytest.approx(0, abs=1e-12)


def test_images_made_from_one_clean_image_count_as_one() -> None:
    """Every image four times: as uncertain as once."""
    values = np.random.default_rng(0).random(250)
    four, units = mean(np.repeat(values, 4)), np.repeat(np.arange(250), 4)
    assert four.placed(units, 250).error(np.zeros(250, int)) == pytest.approx(mean(values).error(np.zeros(250, int)))


@given(st.lists(st.floats(0.1, 1), min_size=2, max_size=12), st.integers(0, 11))
def test_effects_are_derivatives(values: list[float], place: int) -> None:
    """Of (1 - m) / (m m + 2) with m the mean, by giving one image a slightly larger weight."""

    def of(weights: NDArray[np.float64]) -> float:
        m = float(np.average(values, weights=weights))
        return (1 - m) / (m * m + 2)

    m = mean(values)
    statistic = (1.0 - m) / (m * m + 2.0)
    place %= len(values)
    weights, step = np.ones(len(values)), 1e-5
    weights[place] += step
    assert statistic.value == pytest.approx(of(np.ones(len(values))))
    assert statistic.effects[place] == pytest.approx((of(weights) - statistic.value) / step, abs=1e-5)


def test_the_average_of_statistics_pairs_their_images() -> None:
    values = np.random.default_rng(0).random(100)
    flat = average([mean(values), mean(1 - values)])
    assert flat.value == pytest.approx(0.5)
    assert flat.error(np.zeros(100, int)) == pytest.approx(0, abs=1e-12)
