"""The frontier of a board: transfer against clean accuracy."""

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.frontier import Frontier, frontier
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples

VIEWS = board_views(examples.full_scores(), load_spec())


def the_frontier() -> Frontier:
    first = frontier(VIEWS[0])
    assert first is not None
    return first


def test_variants_follow_their_method_and_other_controls_come_last() -> None:
    names = [line.view.name for line in the_frontier().lines]
    assert names[names.index("lm") + 1] == "lm-w100-t4"
    assert names[-2:] == ["random-teacher", "label-smoothing"]
    assert [line.number for line in the_frontier().lines] == list(range(1, len(names) + 1))


def test_variants_are_left_out_of_the_other_controls() -> None:
    assert [row.name for row in VIEWS[0].controls] == ["random-teacher", "label-smoothing"]
    assert [row.name for row in VIEWS[0].variants] == ["lm-w100-t4"]


def test_a_less_accurate_variant_that_transfers_more_lies_up_and_to_the_left() -> None:
    chart = the_frontier().chart
    assert chart is not None
    points = {point.line.view.name: point for point in chart.points}
    assert points["lm-w100-t4"].x < points["lm"].x
    assert points["lm-w100-t4"].y < points["lm"].y  # y is downwards
    assert chart.links == ((points["lm-w100-t4"].x, points["lm-w100-t4"].y, points["lm"].x, points["lm"].y),)
    assert not {"capd", "label-smoothing"} & set(points)


def test_a_board_whose_controls_vary_no_method_has_no_frontier() -> None:
    assert frontier(VIEWS[1]) is None
