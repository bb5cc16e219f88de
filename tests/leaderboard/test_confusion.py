"""Which classes are taken for which."""

import numpy as np

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.confusion import LEVELS, arm_confusions, confusion_counts
from kdbench.records import SetPredictions
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def answers(target: list[int], label: list[int]) -> SetPredictions:
    index, nothing = np.arange(len(target), dtype=np.int32), np.zeros(len(target), np.float32)
    right, given = np.array(target, np.int16), np.array(label, np.int16)
    return SetPredictions(index, right, right, given, nothing, nothing, nothing, nothing)


def test_counts_have_the_correct_class_in_rows_and_the_answer_in_columns() -> None:
    counts = confusion_counts({"clean": answers([0, 0, 1, 2], [0, 2, 1, 2])}, 3)
    assert counts["clean"].tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_classes_that_the_track_does_not_have_are_not_counted() -> None:
    counts = confusion_counts({"clean": answers([0, 7, 1, -1], [0, 0, 9, 1])}, 2)
    assert counts["clean"].tolist() == [[1, 0], [0, 0]]


def test_the_seeds_of_an_arm_are_summed_and_the_largest_mistakes_named() -> None:
    board = examples.board("cnn-to-vit", examples.method_row("lm", "vit", examples.estimate(0.4)))
    (view,) = board_views(examples.scores_of(board), load_spec())
    (row,) = view.methods
    first, second = row.row.arms[0].run_ids[:2]
    digest = board.testsets_digest
    counts = {
        (first, digest): {"clean": np.array([[3, 1], [0, 4]])},
        (second, digest): {"clean": np.array([[3, 1], [0, 4]])},
        (second, "of other test sets"): {"clean": np.array([[0, 99], [99, 0]])},
    }
    (confusions,) = arm_confusions(row, digest, counts, {"clean": "Clean"})
    (matrix,) = confusions.matrices
    assert (confusions.runs, matrix.test_set, matrix.images) == (2, "Clean", 16)
    assert matrix.accuracy == (0.75 + 1) / 2
    assert matrix.mistakes == "0→1 25 %"
    assert matrix.paths[LEVELS - 1] == "M1 1h1v1h-1z"  # all images of class 1 are right
    assert matrix.paths[1] == "M1 0h1v1h-1z"  # a quarter of class 0, in six levels
