"""Known values lie at known places."""

from kdbench.leaderboard.geometry import Scale


def test_scale_puts_its_ends_at_the_margins() -> None:
    scale = Scale.around([0.3], 0.0, 1.0, margin=5.0)
    assert [scale.percent(value) for value in (0.0, 0.5, 1.0)] == [5.0, 50.0, 95.0]


def test_scale_widens_for_what_lies_outside() -> None:
    scale = Scale.around([-0.5, 1.5], 0.0, 1.0, margin=0.0)
    assert [scale.percent(value) for value in (-0.5, 0.5, 1.5)] == [0.0, 50.0, 100.0]
