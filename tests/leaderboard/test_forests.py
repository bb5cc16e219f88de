"""The overview of all methods on one scale."""

import pytest

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.forests import forests
from kdbench.scoring.estimates import Undefined
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_overview_needs_a_defined_number() -> None:
    row = examples.method_row("lm", "vit", Undefined(reason="teachers do not differ"))
    views = board_views(examples.scores_of(examples.board("cnn-to-vit", row)), load_spec())
    assert forests(views) == ()


def test_overview_shares_one_scale_over_boards() -> None:
    (forest,) = forests(board_views(examples.full_scores(), load_spec()))
    _, planted, single_seed = forest.groups
    positions = {row.view.name: row.x for row in planted.rows}
    half = single_seed.rows[0].x
    assert half == pytest.approx((forest.zero + forest.one) / 2, abs=0.02)
    assert positions["cskd"] < forest.zero < positions["lm"] < half < positions["crd"] < forest.one


def test_overview_shades_what_null_controls_reach() -> None:
    (forest,) = forests(board_views(examples.full_scores(), load_spec()))
    *with_controls, single_seed = forest.groups
    for band in (group.band for group in with_controls):
        assert band is not None
        assert band.left < forest.zero < band.left + band.width
    assert single_seed.band is None


def test_transfer_and_gap_closed_have_overviews_of_their_own() -> None:
    tau, gap = forests(board_views(examples.scores_of(*examples.full_scores().boards, examples.natural()), load_spec()))
    assert (tau.planted, gap.planted) == (True, False)
    assert [tick.text for tick in gap.ticks] == ["0", "20", "40", "60", "80", "100"]
    assert [group.view.board.track for group in gap.groups] == ["cifar10-32"]
