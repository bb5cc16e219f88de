"""The first screen: all methods on all boards of a track, on one scale per question."""

import pytest

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.overview import Overview, overviews
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.scores import Scores
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def overview(scores: Scores) -> Overview:
    (only,) = overviews(board_views(scores, load_spec()))
    return only


def test_a_method_without_a_number_is_named_and_not_drawn() -> None:
    row = examples.method_row("lm", "vit", Undefined(reason="teachers do not differ"))
    shown = overview(examples.scores_of(examples.board("cnn-to-vit", row)))
    (line,) = shown.lines
    assert [cell.whisker for cell in line.cells.values()] == [None]
    assert shown.undefined == ("No τ for lm: teachers do not differ",)


def test_the_headline_question_comes_first_in_the_overview() -> None:
    shown = overview(examples.full_scores())
    assert [column.view.symbol for column in shown.columns] == ["α", "τ", "τ"]
    assert [line.view.board.question for line in shown.headlines] == ["architecture", "planted", "planted"]


def test_boards_of_one_question_share_a_scale() -> None:
    shown = overview(examples.full_scores())
    _, planted, single_seed = shown.columns
    marks = {line.name: line.cells[planted.key].whisker for line in shown.lines if planted.key in line.cells}
    places = {name: whisker.x for name, whisker in marks.items() if whisker}
    (alone,) = (line.cells[single_seed.key] for line in shown.lines if single_seed.key in line.cells)
    assert alone.whisker is not None
    half = alone.whisker.x
    assert half == pytest.approx((planted.zero + planted.one) / 2, abs=0.02)
    assert places["cskd"] < planted.zero < places["lm"] < half < places["crd"] < planted.one


def test_columns_shade_what_null_controls_reach() -> None:
    *with_controls, single_seed = overview(examples.full_scores()).columns
    for column in with_controls:
        assert column.band is not None
        assert column.band.left < column.zero < column.band.left + column.band.width
    assert single_seed.band is None


def test_lines_go_by_the_first_question_and_unofficial_ones_come_last() -> None:
    lines = overview(examples.full_scores()).lines
    official = [line.name for line in lines if not line.unofficial]
    assert list(dict.fromkeys(official)) == ["crd", "lm", "cskd", "sskd", "vlfkd", "capd"]
    assert [line.name for line in lines if line.unofficial] == ["tuned"]
    assert lines[-1].unofficial


def test_tracks_have_overviews_of_their_own() -> None:
    boards = (*examples.full_scores().boards, examples.natural())
    assert [shown.track for shown in overviews(board_views(examples.scores_of(*boards), load_spec()))] == [
        "synthetic",
        "cifar10-32",
    ]
