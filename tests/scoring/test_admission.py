"""Records that were tampered with are refused by name, and the rest is scored as if they were not there."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.errors import RecordError
from kdbench.records import PREDICTIONS, RESULT, Predictions, Record, read_predictions, read_record, write_record
from kdbench.records.current import Current
from kdbench.scoring.board import require_boards, score
from kdbench.scoring.scores import RefusedRecord
from tests.record_factory import record_of, write_again, write_matrix
from tests.scoring.boards import SPEC

Folders = Sequence[Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Records of two methods in one direction, with two seeds."""
    return write_matrix(tmp_path, methods=("lm", "crd"), seeds=(0, 1), directions=("cnn-to-vit",), images=50)


def run(folders: Folders, method: str, seed: int = 0) -> Path:
    """Return the folder of the texture teacher, or of its student."""
    return next(record_of(folders, method=method, seed=seed, teacher_bias="texture"))


def refused_alone(results: Path, *expected: Path) -> list[RefusedRecord]:
    """Score, and check that these records are refused and all others scored as they are without these."""
    scores = score(results, SPEC)
    assert {refused.record for refused in scores.refused} == {folder.name for folder in expected}
    for folder in expected:
        shutil.rmtree(folder)
    assert scores.boards == score(results, SPEC).boards
    return list(scores.refused)


def edit_result(folder: Path, **fields: object) -> None:
    raw = json.loads((folder / RESULT).read_text())
    (folder / RESULT).write_text(json.dumps(raw | fields))


def changed(folder: Path, predictions: Predictions | None = None, **fields: object) -> Path:
    """Replace a record by an invented one, with all its digests."""
    record = Record.model_validate(read_record(folder).model_dump() | fields)
    predictions = read_predictions(folder) if predictions is None else predictions
    shutil.rmtree(folder)
    return write_again(folder.parents[1], record, predictions)


def of_version(folder: Path, version: str) -> Path:
    """Write a record as another version of the benchmark wrote it."""
    return changed(folder, environment=read_record(folder).environment.model_dump() | {"kdbench": version})


def test_a_record_of_the_first_release_candidate_is_refused_by_name(tmp_path: Path, folders: Folders) -> None:
    folder = of_version(run(folders, "lm"), "1.0.0rc1")
    (refused,) = refused_alone(tmp_path, folder)
    assert refused.words == (
        f"refused {folder.name} (lm cnn-to-vit, texture teacher, seed 0): it was made with version 1.0.0rc1 of the "
        f"benchmark, and version {SPEC.version} measures other questions with other networks and test sets; run it "
        "again, or score it with the release of its version"
    )


def test_records_of_the_first_release_candidate_alone_leave_nothing_to_score(tmp_path: Path, folders: Folders) -> None:
    for folder in folders:
        of_version(folder, "1.0.0rc1")
    more = f"({len(folders) - 1} more records were refused)"
    with pytest.raises(
        RecordError, match=rf"nothing to score in .* version 1.0.0rc1 of the benchmark.*{re.escape(more)}"
    ):
        require_boards(score(tmp_path, SPEC), [tmp_path])


def test_whole_records_are_all_scored(tmp_path: Path, folders: Folders) -> None:
    assert score(tmp_path, SPEC).refused == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: (f / RESULT).write_text('{"run_id": 3'), "is not a record of schema 3"),
        (lambda f: (f / PREDICTIONS).unlink(), "predictions.npz cannot be read as predictions"),
        (lambda f: (f / PREDICTIONS).write_bytes(b"PK"), "predictions.npz was changed after its record was written"),
        (lambda f: edit_result(f, seed=7), "the run id "),
        (lambda f: edit_result(f, run_id="f" * 16), "is not that of its fields"),
        (lambda f: edit_result(f, scalars={"cka": 1.0}), "result.json was changed after it was written"),
    ],
    ids=["no JSON", "no predictions", "other predictions", "seed", "run id", "scalars"],
)
def test_a_record_that_was_changed_by_hand_is_refused(
    tmp_path: Path, folders: Folders, change: Callable[[Path], object], reason: str
) -> None:
    folder = run(folders, "lm")
    change(folder)
    (refused,) = refused_alone(tmp_path, folder)
    assert reason in refused.reason
    assert str(tmp_path) not in refused.reason  # the same records give the same bytes wherever they lie


def test_predictions_that_were_swapped_between_methods_are_refused(tmp_path: Path, folders: Folders) -> None:
    lm, crd = run(folders, "lm"), run(folders, "crd")
    first, second = ((folder / PREDICTIONS).read_bytes() for folder in (lm, crd))
    (lm / PREDICTIONS).write_bytes(second)
    (crd / PREDICTIONS).write_bytes(first)
    for refused in refused_alone(tmp_path, lm, crd):
        assert "predictions.npz was changed" in refused.reason


def test_a_copied_folder_is_refused_and_its_original_is_scored(tmp_path: Path, folders: Folders) -> None:
    copy = shutil.copytree(run(folders, "lm"), run(folders, "lm").with_name("copied-52b67082"))
    (refused,) = refused_alone(tmp_path, copy)
    assert "it lies in synthetic/copied-52b67082, but a record with its fields belongs into" in refused.reason
    assert refused.run == "lm cnn-to-vit, texture teacher, seed 0"


def test_one_seed_under_two_numbers_is_refused_under_both(tmp_path: Path, folders: Folders) -> None:
    first, second = run(folders, "lm", 0), run(folders, "lm", 1)
    second = changed(second, read_predictions(first))
    reasons = {refused.record: refused.reason for refused in refused_alone(tmp_path, first, second)}
    assert reasons[first.name] == f"its answers are also those of {second.name}; the seeds are 0 and 1"


def test_equal_answers_of_networks_with_other_weights_are_refused(tmp_path: Path, folders: Folders) -> None:
    lm, crd = run(folders, "lm"), run(folders, "crd")
    crd = changed(crd, read_predictions(lm))
    for refused in refused_alone(tmp_path, lm, crd):
        assert refused.reason.endswith("the weights differ")


def test_a_student_of_a_teacher_that_no_record_has_is_refused(tmp_path: Path, folders: Folders) -> None:
    student = changed(run(folders, "lm"), teacher_run_id="0123456789abcdef")
    (refused,) = refused_alone(tmp_path, student)
    assert refused.reason == "its teacher 0123456789abcdef has no record"


def test_a_student_that_names_another_seeds_teacher_is_refused(tmp_path: Path, folders: Folders) -> None:
    other = read_record(run(folders, "teacher", 1)).run_id
    student = changed(run(folders, "lm"), teacher_run_id=other)
    (refused,) = refused_alone(tmp_path, student)
    assert refused.reason == f"its teacher {other} is teacher cnn, seed 1, texture"


def test_students_of_a_refused_teacher_are_refused(tmp_path: Path, folders: Folders) -> None:
    teacher, lm, crd = (run(folders, method) for method in ("teacher", "lm", "crd"))
    (teacher / PREDICTIONS).write_bytes(b"PK")
    reasons = {refused.record: refused.reason for refused in refused_alone(tmp_path, teacher, lm, crd)}
    assert reasons[lm.name] == f"its teacher {teacher.name.split('-')[0]} was refused"


def test_official_runs_of_other_code_under_a_shipped_name_are_refused(tmp_path: Path, folders: Folders) -> None:
    crd = read_record(run(folders, "crd")).digests.code
    codes = {"lm": frozenset({"e" * 64, "f" * 64}), "crd": frozenset({crd, "f" * 64})}
    refused = score(tmp_path, SPEC, current=Current(frozenset(folder.name for folder in folders), codes)).refused
    assert {record.record for record in refused} == {folder.name for folder in record_of(folders, method="lm")}
    assert all("no lm that shipped has the digest of its code" in record.reason for record in refused)


def test_a_refused_record_supersedes_nothing(tmp_path: Path, folders: Folders) -> None:
    folder = run(folders, "lm")
    record = Record.model_validate(
        read_record(folder).model_dump() | {"numerics": 9, "finished": "2027-01-01T00:00:00+00:00"}
    )
    later = write_again(tmp_path, record, read_predictions(folder))
    assert [old.records for old in score(tmp_path, SPEC).superseded] == [(folder.name,)]
    (later / PREDICTIONS).write_bytes(b"PK")
    assert score(tmp_path, SPEC).superseded == ()
    refused_alone(tmp_path, later)


@pytest.mark.parametrize(("key", "value", "reason"), [("index", 5000, "refers to clean image"), ("label", 10, "class")])
def test_answers_that_do_not_fit_the_track_are_refused(
    tmp_path: Path, folders: Folders, key: str, value: int, reason: str
) -> None:
    predictions = read_predictions(run(folders, "lm"))
    array = getattr(predictions["noise"], key)
    predictions["noise"] = replace(predictions["noise"], **{key: array * 0 + value})
    (refused,) = refused_alone(tmp_path, changed(run(folders, "lm"), predictions))
    assert f"the test set 'noise' {'has the ' if key == 'label' else ''}{reason}" in refused.reason


def test_a_track_that_the_spec_lacks_is_refused(tmp_path: Path, folders: Folders) -> None:
    stranger = changed(run(folders, "lm"), track="imagenet")
    (refused,) = refused_alone(tmp_path, stranger)
    assert "it is of the track 'imagenet'; this spec has: synthetic" in refused.reason


def test_where_nothing_fits_there_is_nothing_to_score(tmp_path: Path) -> None:
    (folder,) = record_of(write_matrix(tmp_path, methods=(), directions=("cnn-to-vit",)), method="independent")
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)
    write_record(folder, read_record(folder).model_copy(update={"seed": 5}), read_predictions(folder))
    with pytest.raises(RecordError, match=f"nothing to score in {tmp_path}: refused {folder.name} .*the run id"):
        require_boards(score(tmp_path, SPEC), [tmp_path])
