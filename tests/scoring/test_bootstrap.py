"""The multi-bootstrap against textbook values."""

import numpy as np
import pytest

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.transfer import transfer_number


def average(values: FloatArray) -> FloatArray:
    mean: FloatArray = values.mean(axis=0)
    return mean


def test_the_multi_bootstrap_of_a_mean_has_its_textbook_spread() -> None:
    """Seeds' standard error .1, images' .05: together .112, and the same on every call."""
    random = np.random.default_rng(0)
    seeds = random.normal(0, 1, 10)
    seeds = 1 + 0.1 * np.sqrt(10) * (seeds - seeds.mean()) / seeds.std(ddof=1)
    part = np.concatenate([seeds[:, None], seeds[:, None] + random.normal(0, 0.05, 4000)], axis=1)
    interval = multi_bootstrap(average, [part], 0.95)
    assert interval is not None
    assert (interval[1] - interval[0]) / 2 == pytest.approx(1.96 * np.hypot(0.1, 0.05), rel=0.06)
    assert interval[0] < 1 < interval[1]
    assert multi_bootstrap(average, [part], 0.95) == interval


def test_the_multi_bootstrap_of_what_hardly_ever_exists_is_none() -> None:
    nothing = np.zeros((3, 2, 101))
    assert multi_bootstrap(transfer_number, [nothing], 0.95) is None
