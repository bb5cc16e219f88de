"""Known values lie at known places."""

import pytest

from kdbench.leaderboard.geometry import Scale, round_values


def test_scale_puts_its_ends_at_the_margins() -> None:
    scale = Scale.around([0.3], 0.0, 1.0, margin=5.0)
    assert [scale.percent(value) for value in (0.0, 0.5, 1.0)] == [5.0, 50.0, 95.0]


def test_scale_widens_for_what_lies_outside() -> None:
    scale = Scale.around([-0.5, 1.5], 0.0, 1.0, margin=0.0)
    assert [scale.percent(value) for value in (-0.5, 0.5, 1.5)] == [0.0, 50.0, 100.0]


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.893, 0.971, [0.9, 0.92, 0.94, 0.96]),
        (-0.12, 0.26, [-0.1, 0.0, 0.1, 0.2]),
    ],
)
def test_ticks_are_few_round_values_inside(low: float, high: float, values: list[float]) -> None:
    assert round_values(low, high) == values
