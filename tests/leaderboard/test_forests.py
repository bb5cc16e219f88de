"""The overview of all methods on one scale."""

import pytest

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.forests import forest
from kdbench.scoring.estimates import Undefined
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_overview_needs_a_defined_number() -> None:
    row = examples.method_row("lm", "vit", Undefined(reason="teachers do not differ"))
    views = board_views(examples.scores_of(examples.board("cnn-to-vit", row)), load_spec())
    assert forest(views) is None


def test_overview_shares_one_scale_over_boards() -> None:
    plot = forest(board_views(examples.full_scores(), load_spec()))
    assert plot is not None
    _, planted, single_seed = plot.groups
    positions = {row.view.name: row.x for row in planted.rows}
    half = single_seed.rows[0].x
    assert half == pytest.approx((plot.zero + plot.one) / 2, abs=0.02)
    assert positions["cskd"] < plot.zero < positions["lm"] < half < positions["crd"] < plot.one


def test_overview_shades_what_null_controls_reach() -> None:
    plot = forest(board_views(examples.full_scores(), load_spec()))
    assert plot is not None
    *with_controls, single_seed = plot.groups
    for band in (group.band for group in with_controls):
        assert band is not None
        assert band.left < plot.zero < band.left + band.width
    assert single_seed.band is None
