"""How numbers read on the page."""

import pytest

from kdbench.leaderboard import wording


@pytest.mark.parametrize(
    ("value", "text"), [(-0.004, "0.00"), (-0.25, "−0.25"), (1.0, "1.00"), (0.125, "0.12"), (-0.0, "0.00")]
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (26.0, "26.0 s"), (600, "10.0 min"), (9000, "2.5 h")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text
