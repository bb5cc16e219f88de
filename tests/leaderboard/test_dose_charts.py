"""The dose-response charts of a board."""

import pytest

from kdbench.leaderboard.boards import BoardView, board_views
from kdbench.leaderboard.dose_charts import DoseChart, DoseCharts, dose_charts
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples

SPEC = load_spec()
PLANTED = SPEC.track("synthetic").planted


def views() -> tuple[BoardView, ...]:
    return board_views(examples.full_scores(), SPEC)


@pytest.fixture(scope="module")
def charts() -> DoseCharts:
    return dose_charts(views()[1], PLANTED)


def chart_of(charts: DoseCharts, name: str) -> DoseChart:
    (chart,) = (chart for chart in (*charts.methods, *charts.controls) if chart.view.name == name)
    return chart


def test_every_seed_of_a_method_is_a_point_near_its_line(charts: DoseCharts) -> None:
    chart = chart_of(charts, "lm")
    assert [point.seed for point in chart.points] == [0, 1, 2]
    x1, y1, x2, y2 = chart.line
    for point in chart.points:
        on_line = y1 + (y2 - y1) * (point.x - x1) / (x2 - x1)
        assert point.y == pytest.approx(on_line, abs=1.0)


def test_students_that_transfer_less_than_all_lie_below_the_line_of_equality(charts: DoseCharts) -> None:
    chart = chart_of(charts, "lm")
    x1, y1, x2, y2 = chart.equal
    assert all(point.y > y1 + (y2 - y1) * (point.x - x1) / (x2 - x1) for point in chart.points)  # y is downwards


def test_methods_share_one_scale(charts: DoseCharts) -> None:
    assert len({chart.equal for chart in charts.methods}) == 1


def test_controls_with_trained_teachers_have_charts_and_random_ones_none(charts: DoseCharts) -> None:
    assert [chart.view.name for chart in charts.controls] == ["probe-one-bit"]
    assert not chart_of(charts, "probe-one-bit").response.proportional


def test_the_doses_of_the_seeds_are_named(charts: DoseCharts) -> None:
    assert charts.doses.startswith("seed 0: 0.90 and 0.20; seed 1: 0.60 and 0.05")


def test_a_chart_that_is_not_drawn_has_a_reason_and_natural_teachers_have_none() -> None:
    architecture, _, single_seed = (dose_charts(view, PLANTED) for view in views())
    assert single_seed.undefined == ("lm: 3 seeds are needed, the row has 1",)
    assert (architecture.methods, architecture.controls, architecture.undefined) == ((), (), ())
