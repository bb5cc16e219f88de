"""Old records in a results folder: what the present code makes is scored, and nothing is mixed with it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from kdbench.errors import RecordError
from kdbench.methods.files import read_method_file, submission_path
from kdbench.plan import expansion, matrix
from kdbench.plan.current import outdated_records, shipped_codes, write_current
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import HARNESS_CODE, PlannedRun, Submission
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import plan
from kdbench.records.current import CURRENT, Current, read_current, read_lists
from kdbench.records.groups import StoredRecord
from kdbench.resources import shipped
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.superseded import OTHER_CODE, OTHER_HARNESS, OTHER_TEACHER, SAME_SEED, superseded_records
from kdbench.spec import DIRECTIONS, Direction, Question, Track
from kdbench.testsets.spec import load_spec
from tests.examples import store
from tests.planned_runs import described_here, record_of

SPEC = load_spec()
TRACK = SPEC.track("synthetic")
LM, INDEPENDENT = (read_method_file(submission_path(name)).code for name in ("lm", "independent"))
TEACHER = HARNESS_CODE


def runs(
    *,
    lm: str = LM,
    teacher: str = TEACHER,
    seeds: Sequence[int] = (0,),
    questions: Sequence[Question] = ("planted",),
    directions: Sequence[Direction] = ("cnn-to-vit",),
    compiled: bool = False,
) -> list[PlannedRun]:
    """Two teachers, an independent and two lm students a seed and direction, as code of these digests makes them."""
    both = TRACK.directions
    return expand(
        Request(
            track=TRACK,
            questions=questions,
            submissions=[
                Submission("independent", None, INDEPENDENT, {}, uses_teacher=False, directions=both),
                Submission("lm", None, lm, {"temperature": 4.0}, uses_teacher=True, directions=DIRECTIONS),
            ],
            teacher_submission=Submission("teacher", None, teacher, {}, uses_teacher=False, directions=both),
            directions=directions,
            seeds=seeds,
            device="cpu",
            compiled=compiled,
        )
    )


def stored(results: Path, planned: Sequence[PlannedRun], *, age: int = 0, **changes: object) -> list[StoredRecord]:
    """Records of these runs, written `age` hours ago."""
    records = []
    for run in planned:
        finished = f"2026-01-01T{12 - age:02}:00:00+00:00"
        record = record_of(run).model_copy(update={"finished": finished, **changes})
        records.append((store(results, record), record))
    return records


def superseded(records: Sequence[StoredRecord], track: Track) -> dict[Path, str]:
    """Judge records by the present code, then find what is superseded from the records and that judgement alone."""
    outdated = {folder.name for folder in outdated_records(records, track)}
    return superseded_records(records, Current(frozenset({folder.name for folder, _ in records} - outdated), {}))


def test_records_of_one_version_are_all_scored(tmp_path: Path) -> None:
    assert superseded(stored(tmp_path, runs(seeds=(0, 1))), TRACK) == {}


def test_records_of_an_older_version_are_scored_while_there_are_no_newer_ones(tmp_path: Path) -> None:
    assert superseded(stored(tmp_path, runs(lm="1" * 64, teacher="2" * 64)), TRACK) == {}


def test_a_method_whose_code_has_changed_is_scored_by_its_present_code_alone(tmp_path: Path) -> None:
    old = [entry for entry in stored(tmp_path, runs(lm="1" * 64, seeds=(0, 1))) if entry[1].method == "lm"]
    new = stored(tmp_path, runs(), age=9)  # the file was changed, and changed back
    assert superseded([*old, *new], TRACK) == dict.fromkeys([folder for folder, _ in old], OTHER_CODE.format("lm"))


def test_a_change_of_numerics_supersedes_every_older_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = stored(tmp_path, runs(seeds=(0, 1, 2)), age=1)
    monkeypatch.setattr(expansion, "NUMERICS_VERSION", matrix.NUMERICS_VERSION + 1)
    new = stored(tmp_path, runs(seeds=(0,)))
    assert superseded([*old, *new], TRACK) == dict.fromkeys([folder for folder, _ in old], OTHER_HARNESS)


def test_students_of_a_superseded_teacher_are_superseded(tmp_path: Path) -> None:
    old = stored(tmp_path, runs(teacher="2" * 64))
    new = [entry for entry in stored(tmp_path, runs()) if entry[1].role == "teacher"]
    students = [folder for folder, record in old if record.method == "lm"]
    reasons = superseded([*old, *new], TRACK)
    teachers = [folder for folder, record in old if record.role == "teacher"]
    assert reasons == dict.fromkeys(students, OTHER_TEACHER) | dict.fromkeys(teachers, OTHER_HARNESS)


def test_compiled_and_plain_runs_of_the_present_code_stand_beside_each_other(tmp_path: Path) -> None:
    plain, compiled = stored(tmp_path, runs(), age=1), stored(tmp_path, runs(compiled=True))
    assert superseded([*plain, *compiled], TRACK) == {}


def test_compiled_runs_of_old_code_are_superseded_by_compiled_ones_alone(tmp_path: Path) -> None:
    old = [entry for entry in stored(tmp_path, runs(lm="1" * 64, compiled=True)) if entry[1].method == "lm"]
    plain, compiled = stored(tmp_path, runs()), stored(tmp_path, runs(compiled=True))
    assert superseded([*old, *plain], TRACK) == {}
    assert superseded([*old, *compiled], TRACK) == dict.fromkeys([folder for folder, _ in old], OTHER_CODE.format("lm"))


def test_runs_of_one_question_do_not_supersede_those_of_the_other(tmp_path: Path) -> None:
    old = [
        entry
        for entry in stored(tmp_path, runs(lm="1" * 64, questions=("architecture",)), age=1)
        if entry[1].method == "lm"
    ]
    assert superseded([*old, *stored(tmp_path, runs())], TRACK) == {}
    new = stored(tmp_path, runs(questions=("architecture",)))
    assert superseded([*old, *new], TRACK) == dict.fromkeys([folder for folder, _ in old], OTHER_CODE.format("lm"))


def test_a_method_of_ones_own_keeps_a_row_for_each_version_of_its_file(tmp_path: Path) -> None:
    records = stored(tmp_path, runs(), method="mine") + stored(tmp_path, runs(lm="1" * 64), method="mine")
    assert superseded([entry for entry in records if entry[1].teacher_run_id], TRACK) == {}


def test_of_unofficial_runs_of_the_same_seed_the_later_counts(tmp_path: Path) -> None:
    records = stored(tmp_path, runs(teacher="2" * 64), age=1, unofficial=("--epochs 3",))
    older = [entry for entry in records if entry[1].method == "lm"]
    newer = stored(tmp_path, runs(), unofficial=("--epochs 3",))
    assert superseded([*newer, *older], TRACK) == dict.fromkeys([folder for folder, _ in older], SAME_SEED)


def controls() -> tuple[PlannedRun, ...]:
    """One seed of independents with all controls, as the present code plans them."""
    return plan(RunOptions("synthetic", methods=("independent",), device="cpu", controls="basic"), described_here).runs


def test_controls_of_the_present_code_are_known_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = controls()
    new = stored(tmp_path, planned, age=1)
    assert superseded(new, TRACK) == {}
    monkeypatch.setattr(expansion, "NUMERICS_VERSION", matrix.NUMERICS_VERSION - 1)
    old = stored(tmp_path, controls())  # written later, and older all the same
    monkeypatch.undo()
    assert superseded([*new, *old], TRACK) == dict.fromkeys([folder for folder, _ in old], OTHER_HARNESS)


def old_and_new(results: Path) -> tuple[list[StoredRecord], list[StoredRecord]]:
    """Store lm students of an older file beside everything that the present code makes."""
    old = [stored_run for stored_run in stored(results, runs(lm="1" * 64), age=1) if stored_run[1].method == "lm"]
    return old, stored(results, runs())


def score_bytes(results: Path, to: Path) -> bytes:
    write_scores(score(results, SPEC, current=read_current(results)), to)
    return to.read_bytes()


def edit_lm(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the harness find the shipped submissions in a copy in which the code of lm differs."""
    copy = shutil.copytree(shipped("benchmark", "submissions"), folder / "submissions")
    with (copy / "lm.py").open("a") as file:
        file.write("CHANGED = True\n")
    monkeypatch.setattr("kdbench.methods.files.shipped", lambda *parts: copy.joinpath(*parts[2:]))


def test_the_written_file_names_what_is_current_and_what_is_outdated(tmp_path: Path) -> None:
    old, new = old_and_new(tmp_path)
    write_current(tmp_path, SPEC)
    lists = json.loads((tmp_path / CURRENT).read_text())
    assert lists["outdated"] == sorted(folder.name for folder, _ in old)
    assert lists["current"] == sorted(folder.name for folder, _ in new)
    assert read_current(tmp_path).folders == {folder.name for folder, _ in new}


def test_without_the_file_every_record_is_current(tmp_path: Path) -> None:
    old, new = old_and_new(tmp_path)
    assert read_current(tmp_path).folders == {folder.name for folder, _ in (*old, *new)}
    assert score(tmp_path, SPEC, current=read_current(tmp_path)) == score(tmp_path, SPEC)


def test_a_record_that_came_after_the_file_is_current(tmp_path: Path) -> None:
    _, new = old_and_new(tmp_path)
    write_current(tmp_path, SPEC)
    later = stored(tmp_path, runs(seeds=(1,)))
    assert read_current(tmp_path).folders == {folder.name for folder, _ in (*new, *later)}


def test_the_same_folder_scores_alike_in_a_checkout_with_an_edited_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "runs"
    old, _ = old_and_new(results)
    write_current(results, SPEC)
    judged, before = (results / CURRENT).read_bytes(), score_bytes(results, tmp_path / "before.json")
    edit_lm(monkeypatch, tmp_path)
    assert score_bytes(results, tmp_path / "after.json") == before
    assert old[0][0].name in before.decode()
    write_current(results, SPEC)  # only a run of the edited checkout judges the records anew
    assert (results / CURRENT).read_bytes() != judged


def test_code_that_shipped_when_the_folder_was_written_before_stays_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_current(tmp_path, SPEC)
    assert read_current(tmp_path).codes == {name: {code} for name, code in shipped_codes().items()}
    edit_lm(monkeypatch, tmp_path / "checkout")
    write_current(tmp_path, SPEC)
    codes = read_current(tmp_path).codes
    assert codes["lm"] == {LM, read_method_file(submission_path("lm")).code}
    assert codes["independent"] == {INDEPENDENT}


def test_an_official_record_of_code_that_never_shipped_is_refused(tmp_path: Path) -> None:
    made_up = [folder.name for folder, record in stored(tmp_path, runs(lm="f" * 64)) if record.method == "lm"]
    write_current(tmp_path, SPEC)
    refused = score(tmp_path, SPEC, current=read_current(tmp_path)).refused
    assert {record.record for record in refused} == set(made_up)
    assert "no lm that shipped has the digest of its code, ffffffffffff..." in {record.reason for record in refused}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"current": [], "outdated": [1]}', '{"current": []}'])
def test_a_damaged_file_is_refused_in_a_sentence_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / CURRENT).write_text(text)
    with pytest.raises(RecordError, match=r"is not a list of current records: .*; until `kdbench run`") as refusal:
        read_lists(tmp_path)
    assert str(tmp_path / CURRENT) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert read_current(tmp_path) == Current(frozenset(), {}, (str(refusal.value),))
