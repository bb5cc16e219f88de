"""The profile charts of a board."""

import pytest

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.profiles import profile_charts
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_band_reaches_from_teacher_to_teacher() -> None:
    view = board_views(examples.full_scores(), load_spec())[0]
    for axis in profile_charts(view)[0].axes:
        ends = sorted(mark.x for mark in axis.references if mark.role == "teacher")
        assert axis.band is not None
        assert [axis.band.left, axis.band.left + axis.band.width] == pytest.approx(ends)


def test_every_method_has_a_chart_with_both_students() -> None:
    view = board_views(examples.full_scores(), load_spec())[1]
    charts = {chart.method: chart for chart in profile_charts(view)}
    assert list(charts) == [row.name for row in view.methods]
    assert {mark.mark for mark in charts["lm"].axes[0].students} == {"shape", "texture"}


def test_what_cannot_be_drawn_is_named_with_its_reason() -> None:
    view = board_views(examples.full_scores(), load_spec())[1]
    failed = next(chart for chart in profile_charts(view) if chart.method == "sskd")
    assert failed.axes[0].students == ()
    assert failed.axes[0].missing == ("from shape teacher: not scored", "from texture teacher: not scored")
    assert failed.missing[0] == "from shape teacher: not scored (Shape, Texture, Locality, Scramble, Noise)"
