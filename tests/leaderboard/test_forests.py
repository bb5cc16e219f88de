"""The overview of all methods on one scale."""

import pytest

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.forests import forests
from kdbench.scoring.estimates import Undefined
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_a_method_without_a_number_is_named_and_not_drawn() -> None:
    row = examples.method_row("lm", "vit", Undefined(reason="teachers do not differ"))
    (forest,) = forests(board_views(examples.scores_of(examples.board("cnn-to-vit", row)), load_spec()))
    (group,) = forest.groups
    assert (group.rows, [row.name for row in group.undefined]) == ((), ["lm"])


def test_each_question_has_an_overview_and_the_headline_comes_first() -> None:
    overviews = forests(board_views(examples.full_scores(), load_spec()))
    assert [(forest.question, forest.symbol) for forest in overviews] == [("architecture", "α"), ("planted", "τ")]
    assert [len(forest.groups) for forest in overviews] == [1, 2]


def test_boards_of_one_question_share_a_scale() -> None:
    _, forest = forests(board_views(examples.full_scores(), load_spec()))
    planted, single_seed = forest.groups
    positions = {row.view.name: row.x for row in planted.rows}
    half = single_seed.rows[0].x
    assert half == pytest.approx((forest.zero + forest.one) / 2, abs=0.02)
    assert positions["cskd"] < forest.zero < positions["lm"] < half < positions["crd"] < forest.one


def test_overview_shades_what_null_controls_reach() -> None:
    architecture, planted = forests(board_views(examples.full_scores(), load_spec()))
    *with_controls, single_seed = (*architecture.groups, *planted.groups)
    zeros = (architecture.zero, planted.zero)
    for zero, band in zip(zeros, (group.band for group in with_controls), strict=True):
        assert band is not None
        assert band.left < zero < band.left + band.width
    assert single_seed.band is None
