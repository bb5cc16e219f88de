"""Who is not ranked, and what is said of it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kdbench.records import Predictions, SetPredictions
from kdbench.scoring.estimates import Undefined
from tests.record_factory import record_of, write_matrix
from tests.scoring.boards import board_of, rewrite, rows_of, with_track_scoring

write_planted = partial(write_matrix, directions=("cnn-to-vit",), seeds=range(5), images=100, methods=("lm", "crd"))
write_natural = partial(write_planted, track="cifar10-32", images=200)


def test_a_student_with_another_budget_is_not_ranked(tmp_path: Path) -> None:
    folders = write_planted(tmp_path)
    folder = next(record_of(folders, method="lm", seed=2))
    rewrite(folder, budget={"steps": 200, "examples": 9000})
    rows = rows_of(board_of(tmp_path))
    assert rows["lm"].unranked == (
        "the budget is not that of the independent student: 200 steps on 9,000 examples, "
        "independent had 138 steps on 9,000 examples"
    )
    assert rows["crd"].rank == 1


def collapsed(predictions: Predictions) -> Predictions:
    """The same answer to everything but one image of each class, on the clean set."""
    clean = predictions["clean"]
    label = np.where(np.arange(len(clean.label)) < 10, clean.target, 3).astype(np.int16)
    return predictions | {"clean": replace(clean, label=label)}


def test_a_collapsed_student_is_not_ranked(tmp_path: Path) -> None:
    folders = write_planted(tmp_path)
    rewrite(next(record_of(folders, method="lm", seed=1, teacher_bias="texture")), collapsed)
    row = rows_of(board_of(tmp_path))["lm"]
    assert (
        "collapsed: the student of the texture teacher of seed 1 nearly always gives the same few answers"
        in row.unranked
    )
    assert isinstance(row.transfer, Undefined)


def test_damaged_students_of_a_control_are_named_and_those_of_others_are_not(tmp_path: Path) -> None:
    write_planted(tmp_path, seeds=(0, 1), controls=("random-teacher", "label-smoothing"), clean={"random-teacher": 0.6})
    rows = rows_of(board_of(tmp_path))
    assert rows["random-teacher"].caveat.startswith("4 of 4 students are not competent: the one of the ")
    assert "a clean accuracy of 0.600, the independent student has 0.9" in rows["random-teacher"].caveat
    assert (rows["label-smoothing"].caveat, rows["lm"].caveat) == ("", "")


def one_answer(test_set: str, predictions: Predictions) -> Predictions:
    answers = predictions[test_set]
    return predictions | {test_set: replace(answers, label=np.full_like(answers.label, 3))}


def test_a_collapse_on_a_manipulated_set_is_a_flag_and_no_gate(tmp_path: Path) -> None:
    folders = write_planted(tmp_path, spread=0.005)
    rewrite(next(record_of(folders, method="lm", seed=1)), partial(one_answer, "noise"))
    row = rows_of(board_of(tmp_path))["lm"]
    assert row.rank is not None
    flags = [arm.diagnostics.collapsed for arm in row.arms if arm.diagnostics]
    assert flags[0] == ("noise",)


def wrong_on_clean(share: float, predictions: Predictions) -> Predictions:
    clean = predictions["clean"]
    label = np.where(np.arange(len(clean.label)) < share * len(clean.label), (clean.target + 1) % 10, clean.label)
    return predictions | {"clean": replace(clean, label=label.astype(np.int16))}


@pytest.mark.parametrize(("share", "ranked"), [(0.02, True), (0.2, False)])
def test_a_teacher_far_below_independent_keeps_the_direction_unranked(
    tmp_path: Path, share: float, ranked: bool
) -> None:
    folders = write_planted(tmp_path)
    for folder in record_of(folders, role="teacher", teacher_bias="shape"):
        rewrite(folder, partial(wrong_on_clean, share))
    reason = rows_of(board_of(tmp_path))["lm"].unranked
    assert (reason == "") is ranked
    if not ranked:
        assert reason.startswith("the shape teacher is not competent: its clean accuracy is 0.7")
        assert reason.endswith("may be lower by at most 0.12")


def test_a_direction_that_the_validity_study_ruled_out_ranks_nobody(tmp_path: Path) -> None:
    write_planted(tmp_path)
    spec = with_track_scoring("synthetic", not_measurable={"cnn-to-vit": "random teachers transfer as well"})
    reasons = {row.unranked for row in board_of(tmp_path, spec).rows if row.kind == "method"}
    assert reasons == {"the direction is not measurable: random teachers transfer as well"}


def part_of_class(predictions: Predictions) -> Predictions:
    """The shape sets leave out two thirds of the images of class 4."""
    changed = {}
    for name in ("shape-white", "shape-black"):
        answers = predictions[name]
        kept = (answers.target != 4) | (np.arange(len(answers.target)) % 30 == 4)
        changed[name] = SetPredictions(
            **{key: getattr(answers, key)[kept] for key in SetPredictions.__dataclass_fields__}
        )
    return predictions | changed


def test_a_set_with_masks_for_too_few_images_of_a_class_keeps_a_row_from_a_rank(tmp_path: Path) -> None:
    for folder in write_natural(tmp_path):
        rewrite(folder, part_of_class)
    reason = rows_of(board_of(tmp_path))["lm"].unranked
    assert "the test set shape-white covers only 35% of the images of a class; at least 50% is needed" in reason


def test_a_diverged_seed_keeps_a_row_from_a_rank_and_nothing_is_imputed(tmp_path: Path) -> None:
    write_planted(tmp_path, seeds=range(6), failed={("lm", 3): ("diverged", "loss is not finite")})
    rows = rows_of(board_of(tmp_path))
    assert rows["lm"].unranked == "1 of 6 seeds failed: seed 3 diverged: loss is not finite"
    assert rows["crd"].rank == 1
