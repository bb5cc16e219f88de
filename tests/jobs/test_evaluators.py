"""Evaluations share a process, which is replaced when it fails; a prepared training waits for its turn."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.job import Job
from kdbench.jobs.launcher import EvaluationHandle, ForkLauncher, Handle, Limits
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import LOG, RESULT, read_record
from kdbench.training.outcome import OUTCOME
from tests.jobs.pretend_launcher import Silent
from tests.jobs.small_jobs import a_teacher, context_in, small
from tests.planned_runs import expanded, submission
from tests.time_limits import within_seconds

pytestmark = pytest.mark.slow  # a server of processes imports PyTorch
PATIENCE = 240
LIMITS = Limits(seconds=200, memory_bytes=8 * 2**30)


@pytest.fixture
def launcher() -> Iterator[ForkLauncher]:
    launcher = ForkLauncher(LIMITS)
    with within_seconds(PATIENCE):
        yield launcher
    launcher.release()


def ended(handle: Handle) -> int:
    while (code := handle.poll()) is None:
        time.sleep(0.02)
    return code


def process_of(handle: EvaluationHandle) -> psutil.Process:
    """Return the process that evaluates, below its guard."""
    guard = psutil.Process(handle._evaluator._process.pid)
    while not (children := guard.children()):
        time.sleep(0.02)
    return children[0]


def trained(launcher: ForkLauncher, run: PlannedRun, context: RunContext) -> Job:
    """Train a run and return its evaluation."""
    handle = launcher.prepare(Job("train", run, context))
    handle.proceed()
    assert ended(handle) == 0
    return Job("evaluate", run, context)


def test_one_process_evaluates_one_run_after_another(launcher: ForkLauncher, tmp_path: Path) -> None:
    context = context_in(tmp_path)
    runs = [a_teacher(small(), seed=seed, run_id=f"{seed:016x}") for seed in (1, 2)]
    jobs = [trained(launcher, run, context) for run in runs]
    processes = set()
    for job in jobs:
        handle = launcher.evaluate(job)
        processes.add(process_of(handle))
        assert ended(handle) == 0
        handle.kill()  # of a handle that is done must not end the process, which may be at other work
        assert read_record(job.folder).status == "ok"
    assert len(processes) == 1
    launcher.release()
    assert not psutil.wait_procs(processes, timeout=10)[1]


def test_a_process_that_fails_or_is_ended_is_replaced(launcher: ForkLauncher, tmp_path: Path) -> None:
    job = trained(launcher, a_teacher(small()), context_in(tmp_path))
    first = launcher.evaluate(job)
    process_of(first).send_signal(signal.SIGSTOP)  # it would end too soon
    process_of(first).kill()
    assert ended(first) != 0
    (tmp_path / "file").touch()
    failing = launcher.evaluate(replace(job, context=replace(job.context, cache=tmp_path / "file")))
    assert ended(failing) not in (0, None)
    again = launcher.evaluate(job)
    assert ended(again) == 0
    process_of(again).kill()
    while again._evaluator.poll() is None:
        time.sleep(0.02)
    before = (job.folder / RESULT).stat().st_ino
    assert ended(launcher.evaluate(job)) == 0
    assert (job.folder / RESULT).stat().st_ino != before
    record = read_record(job.folder)
    assert (record.status, record.reason) == ("ok", "")


def test_a_prepared_training_waits_and_its_time_begins_when_it_goes_on(tmp_path: Path) -> None:
    launcher = ForkLauncher(replace(LIMITS, seconds=20))
    run, context = a_teacher(small()), context_in(tmp_path)
    handle = launcher.prepare(Job("train", run, context))
    with within_seconds(PATIENCE):
        while not (context.scratch(run) / LOG).exists():
            time.sleep(0.02)
        time.sleep(1)
        assert handle.poll() is None
        assert handle.progress() is None
        handle.proceed()
        assert ended(handle) == 0
    assert (context.scratch(run) / OUTCOME).exists()


def test_a_prepared_training_cannot_run_out_of_time_before_its_turn(tmp_path: Path) -> None:
    """Else it would end together with the training before it that takes too long."""
    handle = ForkLauncher(replace(LIMITS, seconds=0)).prepare(Job("train", a_teacher(small()), context_in(tmp_path)))
    try:
        time.sleep(0.01)
        assert handle.over_limit() is None
        handle.proceed()
        time.sleep(0.01)
        assert handle.over_limit() == ("timeout", "took more than 0 seconds")
    finally:
        handle.kill()


def test_a_training_that_is_ended_before_its_turn_leaves_no_process(launcher: ForkLauncher, tmp_path: Path) -> None:
    run, context = a_teacher(small()), context_in(tmp_path)
    handle = launcher.prepare(Job("train", run, context))
    while not (context.scratch(run) / LOG).exists():
        time.sleep(0.02)
    family = psutil.Process(handle._process.pid).children(recursive=True)
    handle.kill()
    assert handle.poll() is not None
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert not (context.scratch(run) / OUTCOME).exists()


class Killing(Silent):
    """Ends the process of the first evaluation of a method, as a lost GPU may do."""

    def __init__(self, method: str, find: Callable[[], list[psutil.Process]]) -> None:
        self.method, self.find, self.killed = method, find, False

    def started(self, job: Job) -> None:
        if job.kind == "evaluate" and job.run.submission.name == self.method and not self.killed:
            self.killed = True
            for process in self.find():
                with contextlib.suppress(psutil.Error):
                    process.kill()


@pytest.mark.parametrize("overlap", [False, True])
def test_a_run_whose_evaluation_is_lost_is_a_row_and_all_others_go_on(overlap: bool, tmp_path: Path) -> None:
    launcher, context = ForkLauncher(LIMITS), context_in(tmp_path)
    methods = submission("lm"), submission("independent", uses_teacher=False)
    runs = [run for run in expanded(*methods, track=small(), directions=("vit-to-cnn",)) if not run.untrained]
    killing = Killing("lm", lambda: [process_of(handle) for handle in launched])
    launched: list[EvaluationHandle] = []
    evaluate = launcher.evaluate

    def recorded(job: Job) -> EvaluationHandle:
        launched[:] = [evaluate(job)]
        return launched[0]

    launcher.evaluate = recorded  # type: ignore[method-assign]
    with within_seconds(PATIENCE):
        records = LocalExecutor(launcher, 1, overlap=overlap).execute(runs, context, killing)
    failed = [record for record in records if record.status != "ok"]
    assert len(records) == len(runs)
    assert [record.method for record in failed] == ["lm"]
    assert "while it was evaluated" in failed[0].reason
    assert not [child for child in psutil.Process(os.getpid()).children(recursive=True) if is_guard(child)]


def is_guard(process: psutil.Process) -> bool:
    """Return whether a process is below a server of processes, and so belongs to a job."""
    try:
        parent = process.parent()
        return parent is not None and "forkserver" in " ".join(parent.cmdline())
    except psutil.Error:
        return False
