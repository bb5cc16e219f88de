"""Transfer by pair of backbones."""

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.pairs import pair_table
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_the_table_has_the_boards_on_which_logit_matching_has_five_pairs() -> None:
    table = pair_table(board_views(examples.full_scores(), load_spec()))
    assert table is not None
    assert table.pairs == (0, 1, 2, 3, 4)
    assert [line.view.board.question for line in table.lines] == ["architecture"]


def test_there_is_no_table_of_fewer_pairs() -> None:
    assert pair_table(board_views(examples.scores_of(examples.planted_board()), load_spec())) is None
