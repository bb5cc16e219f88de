"""The executor against jobs that it only pretends to start."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import DataError, KdbenchError, WriteError
from kdbench.jobs.completeness import is_complete, needs_evaluation_only
from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.job import CANNOT_WRITE, Job
from kdbench.networks.models import write_weights
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import (
    WEIGHTS,
    Record,
    Status,
    find_records,
    read_record,
)
from tests.jobs.pretend_launcher import PretendHandle, PretendLauncher, Silent, network_of, record_of
from tests.planned_runs import expanded

RUNS = 8  # of one seed of lm for the question of architecture


def execute(launcher: PretendLauncher, results: Path, workers: int = 2, **more: Any) -> dict[str, Record]:
    context = RunContext(results, results / "cache", **more)
    records = LocalExecutor(launcher, workers).execute(expanded(), context, Silent())
    return {record.run_id: record for record in records}


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_run_is_trained_then_evaluated_after_its_teacher(tmp_path: Path, workers: int) -> None:
    launcher = PretendLauncher()
    records = execute(launcher, tmp_path, workers)
    assert len(records) == RUNS
    order = [(job.kind, job.run.run_id) for job in launcher.jobs]
    for job in launcher.jobs:
        mine = order.index(("train", job.run.run_id))
        assert mine < order.index(("evaluate", job.run.run_id))
        if job.run.teacher:
            assert order.index(("evaluate", job.run.teacher.run_id)) < mine


def test_a_process_that_dies_is_a_record(tmp_path: Path) -> None:
    records = execute(PretendLauncher(codes={"lm": -11}), tmp_path)
    failed = [record for record in records.values() if record.method == "lm"]
    assert {(record.status, record.reason) for record in failed} == {
        ("error", "the training process ended by signal 11")
    }
    assert all(record.status == "ok" for record in records.values() if record.method != "lm")


def test_a_disk_that_is_full_stops_the_command_and_is_no_result_of_a_run(tmp_path: Path) -> None:
    launcher = PretendLauncher(evaluations={"lm": CANNOT_WRITE})
    with pytest.raises(WriteError, match=r"lm .* cannot write into .*: its disk is full .* --out"):
        execute(launcher, tmp_path)
    assert not any(record.method == "lm" for record in map(read_record, find_records(tmp_path)))


def test_a_training_that_claims_a_full_disk_is_an_error_of_its_own(tmp_path: Path) -> None:
    records = execute(PretendLauncher(codes={"lm": CANNOT_WRITE}), tmp_path)
    assert {record.status for record in records.values() if record.method == "lm"} == {"error"}
    assert all(record.status == "ok" for record in records.values() if record.method != "lm")


def test_a_run_over_its_limit_is_killed_and_recorded(tmp_path: Path) -> None:
    launcher = PretendLauncher(over={"independent": ("timeout", "took more than 5 seconds")})
    records = execute(launcher, tmp_path)
    assert {record.status for record in records.values() if record.method == "independent"} == {"timeout"}
    assert all(
        handle.killed
        for handle in launcher.handles
        if handle.job.run.submission.name == "independent" and handle.job.kind == "train"
    )


def test_students_of_a_failed_teacher_are_not_trained(tmp_path: Path) -> None:
    launcher = PretendLauncher(codes={"teacher": 1})
    records = execute(launcher, tmp_path)
    students = [record for record in records.values() if record.method == "lm"]
    assert all(record.status == "error" and "its teacher" in record.reason for record in students)
    assert not any(job.kind == "train" and job.run.submission.name == "lm" for job in launcher.jobs)


def test_an_interruption_kills_what_runs(tmp_path: Path) -> None:
    class Interrupting(Silent):
        def started(self, job: Job) -> None:
            raise KeyboardInterrupt

    launcher = PretendLauncher(over={"teacher": ("timeout", "never asked")})
    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(launcher, 2).execute(expanded(), RunContext(tmp_path, tmp_path), Interrupting())
    assert all(handle.killed for handle in launcher.handles)


def test_records_without_diagnostics_are_evaluated_once_more_and_not_trained(tmp_path: Path) -> None:
    first, again = PretendLauncher(), PretendLauncher()
    before = execute(first, tmp_path)
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=True)
    for run in expanded():
        assert needs_evaluation_only(context, run)
        assert not is_complete(context, run, before[run.run_id])
    after = execute(again, tmp_path, diagnostics=True)
    assert [job.kind for job in again.jobs] == ["evaluate"] * RUNS
    assert all(is_complete(context, run, after[run.run_id]) for run in expanded())


@pytest.mark.parametrize("diagnostics", [False, True])
def test_an_independent_lacks_answers_once_there_are_teachers_of_another_question(
    tmp_path: Path, diagnostics: bool
) -> None:
    execute(PretendLauncher(), tmp_path, diagnostics=diagnostics)
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=diagnostics)
    alone = next(run for run in expanded() if run.submission.name == "independent")
    record = read_record(context.folder(alone))
    assert is_complete(context, alone, record)
    planted = [run for run in expanded(questions=("planted",)) if run.role == "teacher"]
    assert not is_complete(context, alone, record, coming={planted[0].run_id})
    LocalExecutor(PretendLauncher(), 2).execute(planted, context, Silent())
    assert not is_complete(context, alone, record)
    assert needs_evaluation_only(context, alone)
    LocalExecutor(PretendLauncher(), 2).execute([alone], context, Silent())
    assert is_complete(context, alone, read_record(context.folder(alone)))


def test_comparisons_alone_are_no_reason_to_train_a_run_again(tmp_path: Path) -> None:
    record = execute(PretendLauncher(), tmp_path)
    context = RunContext(tmp_path, tmp_path / "cache")
    alone = next(run for run in expanded() if run.submission.name == "independent")
    (context.folder(alone) / WEIGHTS).unlink()
    assert is_complete(context, alone, record[alone.run_id].model_copy(update={"compared_with": ()}))


def test_an_evaluation_for_comparisons_keeps_the_diagnostic_answers(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path, diagnostics=True)
    again = PretendLauncher()
    execute(again, tmp_path)
    assert [job.context.diagnostics for job in again.jobs] == [True] * RUNS


def test_a_run_whose_weights_are_gone_is_trained_again_for_its_diagnostics(tmp_path: Path) -> None:
    again = PretendLauncher()
    execute(PretendLauncher(), tmp_path)
    for weights in tmp_path.rglob(WEIGHTS):
        weights.unlink()
    execute(again, tmp_path, diagnostics=True)
    assert sorted(job.kind for job in again.jobs) == ["evaluate"] * RUNS + ["train"] * RUNS


def test_a_record_is_complete_for_an_invocation_that_asks_less(tmp_path: Path) -> None:
    run = expanded()[0]
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=True)
    full = record_of(Job("evaluate", run, context))
    assert is_complete(RunContext(tmp_path, tmp_path / "cache"), run, full)
    assert is_complete(context, run, full)
    assert is_complete(context, run, full.model_copy(update={"status": "oom", "test": {}}))


def test_a_student_that_was_never_set_beside_its_teachers_is_asked_once_more(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path, diagnostics=True)
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=True)
    for run in expanded():
        record = read_record(context.folder(run))
        assert is_complete(context, run, record)
        without = [record.model_copy(update={key: value}) for key, value in (("scalars", {}), ("compared_with", ()))]
        assert [is_complete(context, run, each) for each in without] == [run.role == "teacher"] * 2


def test_an_evaluation_that_dies_beside_an_old_record_is_an_error(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path)
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=True)

    class Dying(PretendLauncher):
        def start(self, job: Job) -> PretendHandle:
            handle = PretendHandle(replace(job, kind="train"), 1, None)  # a training writes no record
            handle.job = job
            return handle

    with pytest.raises(KdbenchError, match="was not evaluated once more"):
        LocalExecutor(Dying(), 2).execute(expanded(), context, Silent())


def forget(runs: list[PlannedRun], context: RunContext) -> None:
    """Deletes the folders of runs, so that they are to be done once more."""
    for run in runs:
        shutil.rmtree(context.folder(run))


def test_students_are_not_taught_by_weights_that_are_not_their_teachers(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path)
    context, again = RunContext(tmp_path, tmp_path / "cache"), PretendLauncher()
    student = next(run for run in expanded() if run.teacher)
    assert student.teacher
    forget([student], context)
    folder = context.folder(student.teacher)
    write_weights(folder / WEIGHTS, network_of(student))
    with pytest.raises(
        DataError,
        match=rf"teacher.*{folder / WEIGHTS} have the sha256 .*move {folder} out of the results folder to train",
    ):
        execute(again, tmp_path)
    assert not any(job.run.run_id == student.run_id for job in again.jobs)
    assert not (context.folder(student) / "result.json").exists()


def test_students_are_not_set_beside_weights_that_are_not_their_teachers(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path)
    context = RunContext(tmp_path, tmp_path / "cache")
    student = next(run for run in expanded() if run.role == "student" and run.teacher is None)
    forget([student], context)
    (context.folder(student.references[0]) / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(DataError, match=rf"are damaged: .*move {context.folder(student.references[0])} out of"):
        execute(PretendLauncher(), tmp_path)


def test_a_student_whose_teacher_has_lost_its_weights_is_not_blamed_for_it(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path)
    context = RunContext(tmp_path, tmp_path / "cache")
    student = next(run for run in expanded() if run.teacher)
    assert student.teacher
    forget([student], context)
    (context.folder(student.teacher) / WEIGHTS).unlink()
    with pytest.raises(DataError, match=rf"cannot be read: .*move {context.folder(student.teacher)} out of"):
        LocalExecutor(PretendLauncher(), 2).execute([student], context, Silent())


def test_weights_that_were_altered_are_not_evaluated_once_more(tmp_path: Path) -> None:
    execute(PretendLauncher(), tmp_path)
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=True)
    altered, other = expanded()[:2]
    write_weights(context.folder(altered) / WEIGHTS, network_of(other))
    with pytest.raises(DataError, match=f"{context.folder(altered) / WEIGHTS} have the sha256"):
        execute(PretendLauncher(), tmp_path, diagnostics=True)


@pytest.mark.parametrize(("status", "option"), [("timeout", "--time-limit"), ("oom", "--memory-limit")])
def test_a_run_over_its_limit_in_evaluation_has_a_record_and_others_go_on(
    tmp_path: Path, status: Status, option: str
) -> None:
    launcher = PretendLauncher(slow={"lm": (status, "took more than it may")})
    records = execute(launcher, tmp_path)
    failed = [record for record in records.values() if record.status != "ok"]
    assert {record.method for record in failed} == {"lm"}
    assert {(record.status, record.reason) for record in failed} == {
        (status, f"took more than it may while it was evaluated; give a larger {option}")
    }
    assert len(records) == RUNS
    assert all(handle.killed for handle in launcher.handles if handle.poll() is None)


def test_a_record_outlives_an_evaluation_for_more_answers_that_goes_over_its_limit(tmp_path: Path) -> None:
    before = execute(PretendLauncher(), tmp_path)
    again = PretendLauncher(slow={"lm": ("timeout", "took more than 5 seconds")})
    with pytest.raises(KdbenchError, match=r"^lm .* its record is as before; took more than 5 seconds .*--time-limit"):
        execute(again, tmp_path, diagnostics=True)
    context = RunContext(tmp_path, tmp_path / "cache", diagnostics=True)
    for run in expanded():
        record = read_record(context.folder(run))
        assert is_complete(context, run, record) == (record.method != "lm")
        assert record.method != "lm" or record == before[run.run_id]
