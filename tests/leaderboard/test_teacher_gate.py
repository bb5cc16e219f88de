"""The clean accuracies of natural teachers."""

import pytest

from kdbench.leaderboard.teacher_gate import teacher_gate
from tests.leaderboard import examples


def test_the_gate_compares_the_natural_teachers_of_both_families() -> None:
    gate = teacher_gate(examples.architecture_board(), 0.05)
    assert gate is not None
    assert {name: clean.value for name, clean in gate.teachers} == {"CNN teacher": 0.96, "ViT teacher": 0.95}
    assert gate.difference == pytest.approx(0.01)
    assert gate.passed


def test_teachers_that_differ_by_more_do_not_pass() -> None:
    gate = teacher_gate(examples.architecture_board(), 0.005)
    assert gate is not None
    assert not gate.passed


def test_one_teacher_alone_does_not_pass_and_planted_ones_have_no_gate() -> None:
    board = examples.architecture_board()
    rows = tuple(row for row in board.rows if (row.kind, row.family) != ("teacher", "cnn"))
    alone = teacher_gate(board.model_copy(update={"rows": rows}), 0.05)
    assert alone is not None
    assert (alone.difference, alone.passed) == (None, False)
    assert teacher_gate(examples.planted_board(), 0.05) is None
