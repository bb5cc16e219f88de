"""Methods without alpha, against the controls."""

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.positions import Positions, positions
from kdbench.scoring.scores import Board
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def positions_of(board: Board) -> Positions | None:
    (view,) = board_views(examples.scores_of(board), load_spec())
    return positions(view)


def test_a_method_with_one_teacher_has_its_transfer_index_and_the_reason() -> None:
    table = positions_of(examples.architecture_board())
    assert table is not None
    (line,) = table.lines
    assert (line.view.name, line.index.value) == ("capd", 0.3)
    assert line.reason.startswith("it reads the attention of its teacher")


def test_the_band_is_that_of_the_controls_that_should_score_nothing() -> None:
    table = positions_of(examples.architecture_board())
    assert table is not None
    assert table.band is not None
    (zero,) = (tick.x for tick in table.ticks if tick.text == "0.0")
    assert table.band.left < zero < table.band.left + table.band.width < table.lines[0].x


def test_without_controls_there_is_no_band() -> None:
    row = examples.one_family_row("capd", "vit")
    table = positions_of(examples.board("cnn-to-vit", row, seeds=5, question="architecture"))
    assert table is not None
    assert (len(table.lines), table.band) == (1, None)


def test_methods_with_both_students_are_not_listed() -> None:
    row = examples.natural_row("lm", "vit", examples.estimate(0.2))
    assert positions_of(examples.board("cnn-to-vit", row, seeds=5, question="architecture")) is None
    assert positions_of(examples.planted_board()) is None
