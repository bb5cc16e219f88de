"""What a job leaves behind: a record of every run, one that failed included."""

import os
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from kdbench.jobs import sandbox
from kdbench.jobs.child import once_closed, open_log, turn_of, work
from kdbench.jobs.job import Job
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import LOG, LOGITS, Budget, Record, Status, read_predictions, read_record
from kdbench.testsets.frozen import NOT_ORIGINAL
from kdbench.training.outcome import OUTCOME
from tests.jobs.small_jobs import EPOCHS, IMAGES, TRACKS, a_teacher, context_in, silent, small
from tests.planned_runs import expanded, submission


def failed(run: PlannedRun, context: RunContext, status: Status = "timeout") -> Record:
    """The record of a run that was ended from outside."""
    work(Job("evaluate", run, context, failure=(status, "took more than 5 seconds")), silent)
    return read_record(context.folder(run))


def test_a_failed_run_on_another_copy_of_cifar10_is_unofficial(tmp_path: Path) -> None:
    (tmp_path / "copy" / "train").mkdir(parents=True)
    run = a_teacher(TRACKS["cifar10-32"], unofficial=("--epochs 1",))
    assert failed(run, context_in(tmp_path, tmp_path / "copy")).unofficial == ("--epochs 1", NOT_ORIGINAL)


def test_a_failed_run_on_sets_of_which_no_digest_is_frozen_says_so_of_each(tmp_path: Path) -> None:
    track = TRACKS["cifar10-224"]
    record = failed(a_teacher(track), context_in(tmp_path))  # without a folder, the original
    needed = [test_set.name for test_set in track.test_sets if not test_set.diagnostic]
    assert len(record.unofficial) == len(needed) > 1
    for name, reason in zip(needed, record.unofficial, strict=True):
        assert f"no digest of test set {name} is frozen" in reason


def test_a_failed_run_whose_data_are_gone_has_a_record_all_the_same(tmp_path: Path) -> None:
    run = a_teacher(TRACKS["cifar10-32"])
    (reason,) = failed(run, context_in(tmp_path, tmp_path / "gone")).unofficial
    assert "not verified" in reason
    assert str(tmp_path / "gone") in reason


def test_a_failed_run_on_frozen_sets_is_official(tmp_path: Path) -> None:
    assert failed(a_teacher(TRACKS["synthetic"]), context_in(tmp_path)).official


def test_a_run_that_went_well_says_of_every_set_that_it_is_not_the_frozen_one(tmp_path: Path) -> None:
    run, context = a_teacher(small()), context_in(tmp_path)
    work(Job("train", run, context), silent)
    work(Job("evaluate", run, context), silent)
    record = read_record(context.folder(run))
    assert record.status == "ok", record.reason
    assert record.unofficial == tuple(
        f"test set {name} (20 images) is not the frozen one (1000 images)" for name in ("clean", "noise")
    )


def test_a_killed_run_counts_up_to_its_last_checkpoint(tmp_path: Path) -> None:
    run, context = a_teacher(small()), context_in(tmp_path)

    def end(done: int, total: int) -> None:
        if done == 3:
            os._exit(9)

    process = os.fork()
    if process == 0:
        work(Job("train", run, context), end)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    record = failed(run, context)
    assert (record.status, record.reason) == ("timeout", "took more than 5 seconds")
    assert (record.budget.steps, record.budget.examples) == (2, IMAGES)
    assert len(record.curves) == len(record.timing.epochs) == 1
    assert record.timing.training > 0
    assert record.peak_memory_bytes > 0
    assert record.parameters > 0


def test_a_run_that_was_killed_before_it_saved_has_counted_nothing(tmp_path: Path) -> None:
    record = failed(a_teacher(small()), context_in(tmp_path), "oom")
    assert (record.status, record.budget, record.curves) == ("oom", Budget(), ())


CRASHING = """
from dataclasses import dataclass
from kdbench.api import BOTH, Method

class Crashing(Method):
    name, paper, summary, directions, uses_teacher = "crashing", "", "", BOTH, False
    @dataclass(frozen=True)
    class Config: pass
    def loss(self, batch, student, teacher):
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps > 3:
            raise ValueError("no such thing")
        return student.logits.square().mean()
"""


def test_a_run_whose_method_raises_says_what_it_had_counted(tmp_path: Path) -> None:
    method = replace(submission("crashing", uses_teacher=False), source=CRASHING.encode())
    planned = expanded(method, track=small(), directions=("vit-to-cnn",))
    (run,) = (student for student in planned if student.role == "student")
    context = context_in(tmp_path)
    work(Job("train", run, context), silent)
    work(Job("evaluate", run, context), silent)
    record = read_record(context.folder(run))
    assert (record.status, record.reason) == ("error", "crashing.py:12: ValueError: no such thing")
    assert record.budget.steps == 3
    assert len(record.curves) == 1
    assert record.timing.training > 0


def test_a_record_says_whether_its_run_was_to_be_compiled(tmp_path: Path) -> None:
    assert failed(a_teacher(small(), compiled=True), context_in(tmp_path / "compiled")).compiled
    assert not failed(a_teacher(small()), context_in(tmp_path / "plain")).compiled


def test_a_failed_evaluation_keeps_what_was_counted_and_trains_nothing_again(tmp_path: Path) -> None:
    run, context = a_teacher(small()), context_in(tmp_path)
    work(Job("train", run, context), silent)
    record = failed(run, context)
    assert (record.status, record.reason) == ("timeout", "took more than 5 seconds")
    assert record.budget.examples == EPOCHS * IMAGES
    assert record.test == {}
    work(Job("evaluate", run, context), silent)
    again = read_record(context.folder(run))
    assert (again.status, again.reason) == ("ok", "")
    assert (again.budget, again.digests.weights) == (record.budget, record.digests.weights)
    assert list(again.test) == ["clean", "noise"]


def test_a_teacher_whose_kept_logits_are_damaged_is_asked_anew(tmp_path: Path) -> None:
    runs = expanded(submission("lm"), track=small(), directions=("vit-to-cnn",))
    student, context = next(run for run in runs if run.teacher), context_in(tmp_path)
    assert student.teacher
    for run in (student.teacher, student):
        work(Job("train", run, context), silent)
        work(Job("evaluate", run, context), silent)
    whole = read_predictions(context.folder(student))["noise"].kl
    logits = context.folder(student.teacher) / LOGITS
    logits.write_bytes(logits.read_bytes()[:-100])
    work(Job("evaluate", student, context), silent)
    assert read_record(context.folder(student)).status == "ok"
    damaged = read_predictions(context.folder(student))["noise"].kl
    np.testing.assert_allclose(damaged, whole, rtol=0.01, atol=1e-4)  # kept in half precision


def test_a_log_is_not_written_through_links(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("kept")
    folder.symlink_to(elsewhere)
    with open_log(folder) as log:
        log.write("line")
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]
    (folder / LOG).unlink()
    (folder / LOG).symlink_to(elsewhere / "mine")
    with open_log(folder) as log:
        log.write("line")
    assert (elsewhere / "mine").read_text() == "kept"
    assert (folder / LOG).read_text() == "line"


def test_a_training_whose_launcher_is_gone_before_its_turn_leaves_no_outcome(tmp_path: Path) -> None:
    """Its next command would take an outcome for a failure, and remove the checkpoint that lies beside it."""
    run, context = a_teacher(small()), context_in(tmp_path)
    orders, launcher = Pipe()
    launcher.close()
    process = os.fork()
    if process == 0:
        work(Job("train", run, context), silent, await_turn=turn_of(orders))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 1
    assert (context.scratch(run) / LOG).exists()
    assert not (context.scratch(run) / OUTCOME).exists()


@pytest.mark.parametrize("closed", [True, False])
def test_a_folder_that_stays_writable_is_no_read_only_file_system(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "write_no_more_below", lambda folder: closed)
    measures = once_closed(tmp_path, ("namespaces", "read-only"))
    assert measures == (("namespaces", "read-only") if closed else ("namespaces",))
