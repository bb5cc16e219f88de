"""Geometry of the charts: known values at known places."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.charts import Scale, curve_rows, forests, profile_charts
from kdbench.leaderboard.published import read_published
from kdbench.scoring.scores import Undefined
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_scale_puts_its_ends_at_the_margins() -> None:
    scale = Scale.around([0.3], 0.0, 1.0, margin=5.0)
    assert [scale.percent(value) for value in (0.0, 0.5, 1.0)] == [5.0, 50.0, 95.0]


def test_scale_widens_for_what_lies_outside() -> None:
    scale = Scale.around([-0.5, 1.5], 0.0, 1.0, margin=0.0)
    assert [scale.percent(value) for value in (-0.5, 0.5, 1.5)] == [0.0, 50.0, 100.0]


def test_band_reaches_from_teacher_to_teacher() -> None:
    view = board_views(examples.full_scores(), load_spec())[0]
    for axis in profile_charts(view)[0].axes:
        ends = sorted(mark.x for mark in axis.references if mark.role == "teacher")
        assert axis.band is not None
        assert [axis.band.left, axis.band.left + axis.band.width] == pytest.approx(ends)


def test_every_method_has_a_chart_with_both_students() -> None:
    view = board_views(examples.full_scores(), load_spec())[0]
    charts = {chart.method: chart for chart in profile_charts(view)}
    assert list(charts) == [row.name for row in view.methods]
    assert {mark.bias for mark in charts["lm"].axes[0].students} == {"shape", "texture"}


def test_what_cannot_be_drawn_is_named_with_its_reason() -> None:
    view = board_views(examples.full_scores(), load_spec())[0]
    failed = next(chart for chart in profile_charts(view) if chart.method == "sskd")
    assert failed.axes[0].students == ()
    assert failed.axes[0].missing == ("from shape teacher: not scored", "from texture teacher: not scored")
    assert failed.missing[0] == "from shape teacher: not scored (Shape, Texture, Locality, Scramble, Noise)"


def test_overview_needs_a_defined_number() -> None:
    row = examples.method_row("lm", "vit", Undefined(reason="teachers do not differ"))
    views = board_views(examples.scores_of(examples.board("cnn-to-vit", row)), load_spec())
    assert forests(views) == ()


def test_overview_shares_one_scale_over_boards() -> None:
    (found,) = forests(board_views(examples.full_scores(), load_spec()))
    positions = {row.view.name: row.x for row in found.groups[0].rows}
    half = found.groups[1].rows[0].x
    assert half == pytest.approx((found.zero + found.one) / 2, abs=0.02)
    assert positions["cskd"] < found.zero < positions["lm"] < half < positions["crd"] < found.one


def test_overview_shades_what_null_controls_reach() -> None:
    (found,) = forests(board_views(examples.full_scores(), load_spec()))
    band = found.groups[0].band
    assert band is not None
    assert band.left < found.zero < band.left + band.width
    assert found.groups[1].band is None


def test_transfer_and_gap_closed_have_overviews_of_their_own() -> None:
    tau, gap = forests(board_views(examples.scores_of(*examples.full_scores().boards, examples.natural()), load_spec()))
    assert (tau.planted, gap.planted) == (True, False)
    assert [tick.text for tick in gap.ticks] == ["0", "20", "40", "60", "80", "100"]
    assert [group.view.board.track for group in gap.groups] == ["cifar10-32"]


def test_curves_leave_out_what_is_no_number() -> None:
    scores = examples.full_scores()
    records = [
        record.model_copy(update={"curves": ({"loss": 2.0}, {"loss": float("nan")}, {"loss": 1.0})})
        for record in examples.records_of(scores)
    ]
    rows = curve_rows(board_views(scores, load_spec())[0], records)
    assert all(len(curve.points) == 2 for row in rows for panel in row.panels for curve in panel.curves)
    assert [point[0] for point in rows[0].panels[0].curves[0].points] == [4.0, 96.0]


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


def test_published_tables_are_the_papers_four() -> None:
    tables = read_published()
    assert [table.table for table in tables] == [1, 2, 3, 4]
    assert [len(table.rows) for table in tables] == [5, 4, 5, 4]


def test_published_table_with_a_missing_value_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'source = "s"\ntable = 1\ntitle = "t"\ndirection = "cnn-to-vit"\ncolumns = ["a", "b"]\nquantity = "q"\n'
        '[[rows]]\nmethod = "lm"\nvalues = ["1"]\n'
    )
    with pytest.raises(InputError, match=r"bad\.toml.*row lm: 1 values for 2 columns"):
        read_published(tmp_path)
