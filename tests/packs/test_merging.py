"""What is merged is what was packed, twice is the same as once, and one run has one record."""

import shutil
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.packs import merging
from kdbench.packs.merging import merge
from kdbench.plan.context import SCRATCH
from kdbench.records import RESULT, WEIGHTS, Record, find_records, read_record
from kdbench.records.current import read_current
from kdbench.records.integrity import check_record
from kdbench.records.storage import seal_record
from kdbench.scoring.board import score
from kdbench.training.checkpoints import CHECKPOINT
from tests.packs.results_folders import (
    SPEC,
    TRACK,
    UNFINISHED,
    files_of,
    packed,
    student_of,
    teacher_of,
    write_results,
    write_training,
    write_weights,
)


def test_what_is_merged_is_what_was_packed(tmp_path: Path, results: Path) -> None:
    board = packed(results, tmp_path / "board.zip", with_weights=True)
    shutil.rmtree(results / SCRATCH / UNFINISHED / "tmp")  # it is not needed
    merged = merge(board, tmp_path / "other", SPEC)
    assert files_of(tmp_path / "other") == files_of(results)
    assert (len(merged.records), merged.unfinished) == (5, [UNFINISHED])
    assert not any(check_record(folder) for folder in find_records(tmp_path / "other"))
    assert score(tmp_path / "other", SPEC, current=read_current(tmp_path / "other")) == score(results, SPEC)


def test_merging_twice_is_the_same_as_once(tmp_path: Path, board: Path) -> None:
    merge(board, tmp_path / "other", SPEC)
    before = files_of(tmp_path / "other")
    again = merge(board, tmp_path / "other", SPEC)
    assert (again.records, again.unfinished, again.kept, len(again.known)) == ([], [], [], 5)
    assert files_of(tmp_path / "other") == before


def test_two_packs_make_one_board(tmp_path: Path, results: Path, board: Path) -> None:
    second = write_results(tmp_path / "second", seeds=(1,))
    merge(packed(second, tmp_path / "second.zip"), tmp_path / "other", SPEC)
    merge(board, tmp_path / "other", SPEC)
    names = {folder.name for folder in [*find_records(results), *find_records(second)]}
    assert {folder.name for folder in find_records(tmp_path / "other")} == names


def test_weights_join_a_record_that_lacks_them(tmp_path: Path, results: Path, board: Path) -> None:
    merge(board, tmp_path / "other", SPEC)
    merge(packed(results, tmp_path / "all.zip", with_weights=True), tmp_path / "other", SPEC)
    weights = tmp_path / "other" / TRACK / student_of(results).name / WEIGHTS
    assert weights.read_bytes() == (student_of(results) / WEIGHTS).read_bytes()


def compared(folder: Path, *teachers: str) -> Record:
    """Give a student comparisons with teachers, and return its record."""
    record = read_record(folder).model_copy(update={"compared_with": teachers})
    seal_record(folder, record)
    return read_record(folder)


def test_of_two_evaluations_of_a_student_the_one_with_more_comparisons_stays(tmp_path: Path, results: Path) -> None:
    other = shutil.copytree(results, tmp_path / "other")
    few, more = compared(student_of(other), "cnn"), compared(student_of(results), "cnn", "shape")
    weights = (student_of(other) / WEIGHTS).read_bytes()
    (student_of(results) / WEIGHTS).unlink()
    for folder, source in ((other, results), (results, other)):
        merged = merge(packed(source, tmp_path / f"{source.name}.zip"), folder, SPEC)
        assert len(merged.known) == 5
        assert read_record(student_of(folder)) == more != few
    assert (student_of(other) / WEIGHTS).read_bytes() == weights


def test_another_record_of_a_student_stays_and_is_named(tmp_path: Path, results: Path, board: Path) -> None:
    other = shutil.copytree(results, tmp_path / "other")
    own = write_weights(student_of(other), "weights of another training")
    merged = merge(board, other, SPEC)
    assert merged.kept == [student_of(other).name]
    assert read_record(student_of(other)) == own


def test_a_record_of_a_failure_gives_way_to_another(tmp_path: Path, results: Path, board: Path) -> None:
    failed = write_results(tmp_path / "other", failed={("lm", 0): ("timeout", "took too long")})
    merged = merge(board, failed, SPEC)
    assert len(merged.records) == 2
    assert {read_record(folder).status for folder in find_records(failed)} == {"ok"}
    again = merge(
        packed(write_results(tmp_path / "x", failed={("lm", 0): ("oom", "")}), tmp_path / "x.zip"), failed, SPEC
    )
    assert len(again.kept) == 2
    assert {read_record(folder).status for folder in find_records(failed)} == {"ok"}


def test_a_record_of_a_failure_does_not_end_a_training_under_way(tmp_path: Path, results: Path) -> None:
    failed = write_results(tmp_path / "failed", failed={("lm", 0): ("timeout", "took too long")})
    student = next(folder for folder in find_records(failed) if read_record(folder).status != "ok")
    under_way = write_training(tmp_path / "other", steps=7, name=student.name)
    merged = merge(packed(failed, tmp_path / "failed.zip"), tmp_path / "other", SPEC)
    assert merged.kept == [student.name]
    assert (under_way / CHECKPOINT).exists()


def test_another_teacher_of_the_same_students_is_refused(tmp_path: Path, results: Path, board: Path) -> None:
    other = shutil.copytree(results, tmp_path / "other")
    teacher = teacher_of(other)
    write_weights(teacher, "weights of another training")
    before = files_of(other)
    with pytest.raises(InputError, match=f"has the teacher {teacher.name} .* with other weights than .*other has"):
        merge(board, other, SPEC)
    assert files_of(other) == before


def test_the_unfinished_training_that_is_further_stays(tmp_path: Path, board: Path) -> None:
    for steps, expected in ((6, 7), (7, 7), (8, 8)):
        other = tmp_path / f"other-{steps}"
        write_training(other, steps=steps)
        merge(board, other, SPEC)
        assert (other / SCRATCH / UNFINISHED / CHECKPOINT).read_text() == f"after {expected} steps"


def test_a_training_that_has_ended_is_further_than_any_other(tmp_path: Path, board: Path) -> None:
    write_training(tmp_path / "other", steps=1, ended=True)
    assert merge(board, tmp_path / "other", SPEC).unfinished == []


def test_a_merged_record_ends_the_unfinished_training_of_its_run(tmp_path: Path, results: Path, board: Path) -> None:
    scratch = write_training(tmp_path / "other", steps=3, name=student_of(results).name)
    merge(board, tmp_path / "other", SPEC)
    assert not scratch.exists()
    assert not scratch.with_name(f"{scratch.name}.json").exists()


def test_a_record_that_does_not_fit_is_left_out_and_named(tmp_path: Path, results: Path) -> None:
    student = student_of(results)
    path = student / RESULT
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 3'))
    merged = merge(packed(results, tmp_path / "board.zip"), tmp_path / "other", SPEC)
    assert list(merged.refused) == [student.name]
    assert str(tmp_path) not in merged.refused[student.name]
    assert len(find_records(tmp_path / "other")) == 4


def test_a_merge_that_is_killed_leaves_whole_records_and_the_next_one_completes_it(
    tmp_path: Path, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, moves = tmp_path / "other", 0
    move = merging._replace

    def killed(source: Path, target: Path) -> None:
        nonlocal moves
        moves += 1
        if moves == 3:
            shutil.copytree(source.parents[1], other / f"{merging.MERGING}killed")  # what no clean-up removes
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(merging, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        merge(board, other, SPEC)
    assert [check_record(folder) for folder in find_records(other)] == [[], []]
    merge(board, other, SPEC)
    merge(board, tmp_path / "unbroken", SPEC)
    assert files_of(other) == files_of(tmp_path / "unbroken")
