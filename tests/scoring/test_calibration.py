"""Calibration against known cases and against torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdbench.scoring.calibration import expected_calibration_error, mean_score
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.statistic import Statistic


def test_calibration_error_of_a_known_case() -> None:
    """Two bins, 60 images at .9 of which 45 are right, 40 at .55 of which 30: .6 x .15 + .4 x .20 = .17."""
    confidence = np.repeat([0.9, 0.55], [60, 40])
    right = np.concatenate([np.arange(60) < 45, np.arange(40) < 30])
    error = expected_calibration_error(confidence, right, 15)
    assert isinstance(error, Statistic)
    assert error.value == pytest.approx(0.17)
    assert error.error(np.repeat([0, 1], [60, 40])) == pytest.approx(np.sqrt(60 * 0.75 * 0.25 + 40 * 0.75 * 0.25) / 100)


def test_a_sure_and_right_network_is_calibrated_and_edges_fall_in_the_bin_below() -> None:
    error = expected_calibration_error(np.ones(50), np.ones(50, bool), 15)
    assert isinstance(error, Statistic)
    assert error.value == 0
    apart, together = (
        expected_calibration_error(np.array([2 / 15, after]), np.array([True, False]), 15) for after in (0.134, 0.133)
    )
    assert isinstance(apart, Statistic)
    assert isinstance(together, Statistic)
    assert apart.value == pytest.approx((1 - 2 / 15 + 0.134) / 2)
    assert together.value == pytest.approx((1 - 2 / 15 - 0.133) / 2)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_is_a_share(cases: list[tuple[float, bool]]) -> None:
    confidence, right = (np.array(column) for column in zip(*cases, strict=True))
    error = expected_calibration_error(confidence, right, 15)
    assert isinstance(error, Statistic)
    assert -1e-12 <= error.value <= 1


def test_without_probabilities_there_is_no_calibration() -> None:
    bare = np.full(3, np.nan)
    assert expected_calibration_error(bare, np.ones(3, bool), 15) == Undefined(
        reason="the probabilities are not finite"
    )
    assert mean_score(bare) == Undefined(reason="the probabilities are not finite")
    assert mean_score([]) == Undefined(reason="there are no images")


@pytest.mark.parametrize("bins", [10, 15])
@pytest.mark.parametrize("sharpness", [0.5, 2.0, 6.0])
def test_calibration_error_is_that_of_torchmetrics(bins: int, sharpness: float) -> None:
    from torchmetrics.classification import MulticlassCalibrationError  # takes seconds, where others are only collected

    random = torch.Generator().manual_seed(0)
    probabilities = (sharpness * torch.randn((500, 10), generator=random, dtype=torch.float64)).softmax(dim=1)
    target = torch.multinomial(probabilities.sqrt(), 1, generator=random).squeeze(1)
    confidence, label = probabilities.max(dim=1)
    error = expected_calibration_error(confidence.numpy(), (label == target).numpy(), bins)
    expected = MulticlassCalibrationError(num_classes=10, n_bins=bins, norm="l1")(probabilities, target)
    assert isinstance(error, Statistic)
    assert error.value == pytest.approx(float(expected), abs=1e-6)
