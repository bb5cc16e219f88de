"""The boards of the two questions, from records."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kdbench.records import Predictions, read_record
from kdbench.records.storage import seal_record
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Range, Undefined
from kdbench.scoring.questions import boards_of, swapped_teachers
from kdbench.scoring.scores import Board, DoseResponse, Row
from tests.record_factory import record_of, write_matrix
from tests.scoring.boards import SPEC, estimated, rewrite, rows_of

write_natural = partial(write_matrix, directions=("cnn-to-vit",), question="architecture", seeds=range(5), spread=0.01)
TRACK = SPEC.tracks["synthetic"]


def boards_by_question(results: Path) -> Mapping[str, Board]:
    return {board.question: board for board in score(results, SPEC).boards}


@pytest.fixture(scope="module")
def natural(tmp_path_factory: pytest.TempPathFactory) -> Board:
    results = tmp_path_factory.mktemp("natural")
    write_natural(
        results,
        methods=("much", "none"),
        transfer={"much": 0.5, "none": 0.0, "lm-shuffled": 0.0},
        images=None,
        controls=("random-teacher", "label-smoothing"),
        frontier=("lm-shuffled",),
    )
    (board,) = score(results, SPEC).boards
    return board


def row_of(board: Board, method: str, family: str = "vit") -> Row:
    (row,) = (row for row in board.rows if (row.method, row.family) == (method, family))
    return row


def test_the_board_of_architecture_swaps_the_natural_teachers_of_two_families(natural: Board) -> None:
    assert (natural.question, natural.direction) == ("architecture", "cnn-to-vit")
    assert swapped_teachers("architecture", "cnn-to-vit") == (("cnn", "natural"), ("vit", "natural"))
    assert [(row.method, row.family) for row in natural.rows if row.kind == "teacher"] == [
        ("teacher", "cnn"),
        ("teacher", "vit"),
    ]
    assert [arm.teacher for arm in row_of(natural, "much").arms] == [("cnn", "natural"), ("vit", "natural")]


def test_alpha_is_the_share_of_the_difference_between_the_families_that_was_put_in(natural: Board) -> None:
    much, none = row_of(natural, "much"), row_of(natural, "none")
    assert estimated(much.transfer).low < 0.5 < estimated(much.transfer).high
    assert estimated(none.transfer).low < 0 < estimated(none.transfer).high
    assert set(much.transfer_by_axis) == {"locality", "noise"}
    assert (much.rank, much.finding, much.dose_response) == (1, "transfers", None)
    assert none.finding in ("none shown", "none larger")


def test_controls_without_an_own_teacher_score_nothing_or_have_no_alpha(natural: Board) -> None:
    alpha = estimated(row_of(natural, "random-teacher").transfer)
    assert alpha.low < 0 < alpha.high
    shuffled = estimated(row_of(natural, "lm-shuffled").transfer)
    assert natural.null_band == Range(low=shuffled.low, high=shuffled.high)  # random teachers are not part of it
    smoothed = row_of(natural, "label-smoothing")
    assert smoothed.transfer is None
    assert smoothed.arms[0].movement is not None  # its way to the natural teacher, for methods that have no alpha


def test_a_method_that_works_with_one_family_of_teachers_has_no_alpha(tmp_path: Path) -> None:
    for folder in write_natural(tmp_path, seeds=range(3)):
        if read_record(folder).direction == "vit-to-vit":
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    row = row_of(boards_by_question(tmp_path)["architecture"], "lm")
    assert row.transfer == Undefined(reason="no student of the natural ViT teacher was scored")
    assert estimated(row.arms[0].movement.transfer_index if row.arms[0].movement else None).seeds == 3


def test_a_method_that_reads_attention_has_no_alpha_for_that_reason(tmp_path: Path) -> None:
    folders = write_matrix(tmp_path, directions=("vit-to-cnn",), question="architecture", seeds=range(3))
    for folder in folders:
        record = read_record(folder)
        if (record.method, record.direction) == ("lm", "cnn-to-cnn"):
            shutil.rmtree(folder)
        elif record.method == "lm":
            seal_record(folder, record.model_copy(update={"needs": ("attention", "logits")}))
    reason = "it reads the attention of its teacher, so it cannot have a student of the natural CNN teacher"
    assert rows_of(boards_by_question(tmp_path)["architecture"])["lm"].transfer == Undefined(reason=reason)


def test_transfer_is_given_for_each_pair_of_backbones_and_pools_to_the_whole(natural: Board) -> None:
    pairs = TRACK.backbones.pairs
    by_pair = row_of(natural, "much").transfer_by_pair
    assert sorted(by_pair) == list(range(pairs))
    assert sum(estimated(score).seeds for score in by_pair.values()) == len(natural.seeds)
    values = [estimated(score).value for score in by_pair.values()]
    assert min(values) < estimated(row_of(natural, "much").transfer).value < max(values)


def test_transfer_is_given_for_each_seed_and_pools_to_the_whole(natural: Board) -> None:
    row = row_of(natural, "much")
    assert tuple(sorted(row.transfer_by_seed)) == natural.seeds
    values = [estimated(score).value for score in row.transfer_by_seed.values()]
    assert min(values) < estimated(row.transfer).value < max(values)


def test_clean_accuracy_of_a_row_is_the_mean_of_its_students(natural: Board) -> None:
    row = row_of(natural, "much")
    clean = estimated(row.clean)
    of_arms = [estimated(arm.profile.clean).value for arm in row.arms if arm.profile]
    assert clean.value == pytest.approx(np.mean(of_arms), abs=1e-5)
    assert clean.low < clean.value < clean.high
    assert row_of(natural, "teacher", "cnn").clean is None


def test_only_controls_with_untrained_teachers_are_marked_as_such(tmp_path: Path) -> None:
    write_natural(tmp_path, seeds=(0,), controls=("random-teacher", "label-smoothing"), frontier=("lm-w10-t4",))
    rows = boards_by_question(tmp_path)["architecture"].rows
    marked = {(row.kind, row.method) for row in rows if any(arm.random_teacher for arm in row.arms)}
    assert marked == {("control", "random-teacher"), ("control", "untrained")}
    assert [row.kind for row in rows if row.method == "lm-w10-t4"] == ["control"]


def without_some_right_answers(predictions: Predictions) -> Predictions:
    clean = predictions["clean"]
    tenth = np.arange(len(clean.label)) % 11 == 0
    return predictions | {"clean": replace(clean, label=np.where(tenth, (clean.target + 1) % 10, clean.label))}


def test_natural_teachers_of_unequal_accuracy_leave_a_row_without_a_rank(tmp_path: Path) -> None:
    folders = write_natural(tmp_path)
    for folder in record_of(folders, method="teacher"):
        if read_record(folder).family == "vit":
            rewrite(folder, without_some_right_answers)
    row = row_of(boards_by_question(tmp_path)["architecture"], "lm")
    assert row.rank is None
    assert "the clean accuracies of the two teachers differ by more than 0.05" in row.unranked


def test_both_questions_have_a_board_each_and_the_headline_comes_first(tmp_path: Path) -> None:
    write_natural(tmp_path, methods=("lm",), seeds=range(3))
    write_matrix(tmp_path, directions=("cnn-to-vit",), methods=("lm",), seeds=range(3), spread=0.01)
    boards = score(tmp_path, SPEC).boards
    assert [board.question for board in boards] == ["architecture", "planted"]
    assert isinstance(rows_of(boards[1])["lm"].dose_response, DoseResponse)
    independents = [[row.method for row in board.rows].count("independent") for board in boards]
    assert independents == [1, 1]


def test_teachers_alone_make_a_board_for_each_direction_in_which_they_could_teach(tmp_path: Path) -> None:
    folders = write_natural(tmp_path, seeds=(0,))
    teachers = [record for folder in folders if (record := read_record(folder)).role == "teacher"]
    assert boards_of(teachers, TRACK) == [("architecture", "cnn-to-vit"), ("architecture", "vit-to-cnn")]
