"""The text of a profile: the bars of the chart, and the table of networks."""

import pytest

from kdbench.profiling.text import OUTSIDE, STEPS, bar, table_lines
from kdbench.scoring.arms import AxisScore, ConflictScore, Profile
from kdbench.scoring.estimates import Estimate, Score, Undefined
from kdbench.spec import BIAS_AXES


def an_estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, images=100, seeds=1, covers="images")


def a_profile(bias: Score) -> Profile:
    half = an_estimate(0.5, 0.4, 0.6)
    return Profile(
        clean=half,
        axes={axis: AxisScore(accuracy=half, bias=bias, ratio=half) for axis in BIAS_AXES},
        conflict=ConflictScore(shape=an_estimate(0.75, 0.7, 0.8), texture=an_estimate(0.25, 0.2, 0.3), shape_bias=half),
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "places"),
    [(0.5, 0.25, 0.75, (10, 20, 30)), (0.0, -0.05, 0.05, (-2, 0, 2)), (1.0, 0.9, 1.1, (36, 40, 44))],
)
def test_a_bar_lies_where_its_interval_is(value: float, low: float, high: float, places: tuple[int, ...]) -> None:
    first, middle, last = (place + OUTSIDE for place in places)
    drawn = bar(an_estimate(value, low, high))
    assert drawn[middle] == "o"
    assert len(drawn.strip(" |")) in (last - first + 1, len(drawn.strip(" |")))
    assert set(drawn[first : last + 1]) <= set("-o|")
    assert set(drawn[:first] + drawn[last + 1 :]) <= set(" |")


def test_a_number_outside_of_the_chart_is_drawn_at_its_edge() -> None:
    assert bar(an_estimate(-3, -4, -2))[0] == "o"
    assert bar(an_estimate(9, 8, 10))[-1] == "o"


def test_an_undefined_number_has_an_empty_bar() -> None:
    assert bar(Undefined(reason="too near chance")).split() == ["|", "|"]
    assert len(bar(Undefined(reason="too near chance"))) == STEPS + 2 * OUTSIDE + 1


def test_a_table_has_a_line_per_network_with_its_distance() -> None:
    known, unknown = a_profile(an_estimate(0.3, 0.2, 0.4)), a_profile(Undefined(reason="too near chance"))
    heading, own, other = table_lines([("mine", known, None), ("cnn teacher, natural", unknown, 0.125)])
    assert heading.split() == ["clean", "texture", "shape", "locality", "scramble", "noise", "swing", "distance"]
    assert own.split() == ["mine", "0.50", *["0.30"] * 5, "0.50"]
    assert other.split()[-8:] == ["0.50", *["-"] * 5, "0.50", "0.12"]
