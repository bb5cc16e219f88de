"""The sentence about a board."""

from typing import Any

from kdbench.leaderboard.boards import BoardView, board_views
from kdbench.leaderboard.headlines import headline
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.scores import Row
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def view_of(*rows: Row, seeds: int = 5) -> BoardView:
    (view,) = board_views(examples.scores_of(examples.board("cnn-to-vit", *rows, seeds=seeds)), load_spec())
    return view


def ranked(name: str, transfer: float, rank: int, rank_high: int, **more: Any) -> Row:
    score = examples.estimate(transfer, seeds=5)
    return examples.method_row(name, "vit", score, seeds=5, rank=rank, rank_high=rank_high, **more)


def losing(row: Row, gain: float) -> Row:
    """The row with students whose clean accuracy differs from independent's by `gain`, give or take .03."""
    arms = [arm.model_copy(update={"movement": examples.movement(gain)}) for arm in row.arms[:1]]
    return row.model_copy(update={"arms": (*arms, *row.arms[1:])})


def test_sentence_has_transfer_interval_cost_loss_and_tally() -> None:
    leader = losing(ranked("sskd", 0.74, 1, 1, finding="transfers"), -0.056)
    line = headline(view_of(ranked("lm", 0.3, 2, 2, finding="none shown"), leader))
    assert line.leader is not None
    assert line.leader.name == "sskd"
    assert line.words == (
        "passes on 74 % of the teachers’ difference [71,\u00a077] at 1.40 times the training time of independent; "
        "its student of the shape teacher loses 5.6 points of accuracy."
    )
    assert line.tally == "1 of 2 ranked methods transfers."


def test_a_change_of_accuracy_that_is_not_sure_is_not_claimed() -> None:
    line = headline(view_of(losing(ranked("lm", 0.4, 1, 1, finding="transfers"), -0.02)))
    assert "accuracy" not in line.words


def test_methods_that_share_the_first_place_are_named() -> None:
    rows = (ranked("lm", 0.3, 1, 2, finding="transfers"), ranked("crd", 0.29, 1, 2, finding="transfers"))
    assert "(the seeds do not separate it from crd)" in headline(view_of(*rows)).words


def test_small_and_unsure_transfer_is_said_to_be_so() -> None:
    trace = headline(view_of(ranked("lm", 0.031, 1, 1, finding="a trace")))
    assert trace.words.startswith("passes on a trace, 3.1 % of the teachers’ difference [0.1,\u00a06.1],")
    unsure = headline(view_of(ranked("lm", 0.04, 1, 1, finding="none shown")))
    assert "which is not surely above 0" in unsure.words
    beyond = headline(view_of(ranked("lm", 1.3, 1, 1, finding="transfers", beyond="overshoot")))
    assert "more than the teachers differ, 130 %" in beyond.words


def test_one_seed_is_said_and_has_no_tally() -> None:
    row = examples.method_row("lm", "vit", examples.estimate(0.5, seeds=1), seeds=1, transfer_by_axis={})
    line = headline(view_of(row, seeds=1))
    assert "in 1 seed, so far without an interval over seeds" in line.words
    assert line.tally == ""


def test_a_ranked_method_leads_before_a_larger_unofficial_one() -> None:
    tuned = examples.method_row("tuned", "vit", examples.estimate(0.9, seeds=5), seeds=5, unofficial=("--epochs 9",))
    line = headline(view_of(tuned, ranked("lm", 0.3, 1, 1)))
    assert line.leader is not None
    assert line.leader.name == "lm"


def test_boards_without_a_number_say_so() -> None:
    assert headline(view_of()).words == "No method has been run here yet."
    undefined = examples.method_row("lm", "vit", Undefined(reason="teachers do not differ"))
    assert headline(view_of(undefined)).words == "No method has a number here yet."
