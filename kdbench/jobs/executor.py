"""Runs a plan on this machine: several jobs at once, each run trained and then evaluated, teachers before their
students."""

import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from kdbench.errors import KdbenchError, RecordError, WriteError
from kdbench.files import check_writable
from kdbench.jobs.completeness import (
    existing_record,
    is_complete,
    keeping_diagnostics,
    needs_evaluation_only,
)
from kdbench.jobs.devices import GPU_FAULT
from kdbench.jobs.guard import SIGNALLED
from kdbench.jobs.intact import IntactWeights
from kdbench.jobs.intake import forget_failure
from kdbench.jobs.job import CANNOT_WRITE, GPU_FAILED, STOPPED, Job
from kdbench.jobs.launcher import Handle, Launcher
from kdbench.jobs.slots import Slots
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import LOG, RESULT, WEIGHTS, Record, Status, read_record
from kdbench.records.restored import weights_beside
from kdbench.training.outcome import OUTCOME, ended_training, read_outcome

_POLL_SECONDS = 0.05
_LIMIT_CHECK_SECONDS = 0.5
GRACE_SECONDS = 30.0  # that jobs have to end by themselves once the time of the invocation is up
_REMEDIES: Mapping[Status, str] = {
    "timeout": "give a larger --time-limit",
    "oom": "give a larger --memory-limit",
    "error": f"{LOG} beside the record says more",
}


class Watcher(Protocol):
    """Follows the jobs of an invocation, to show them."""

    def started(self, job: Job) -> None: ...

    def advanced(self, job: Job, done: int, total: int) -> None: ...

    def finished(self, run: PlannedRun, record: Record) -> None: ...


class LocalExecutor:
    """Runs jobs on this machine: `workers` runs at a time on each GPU, or on the CPU if they use no GPU.

    The result of a run does not depend on how many runs there are at a time: each training has a process of its own and
    a fixed number of threads.

    Args:
        launcher: starts the jobs.
        workers: number of runs at a time.
        gpus: as `kdbench.jobs.devices` names them.
        overlap: whether a run is trained while the one before it is evaluated (see `Slots`); None to overlap on GPUs.
    """

    def __init__(
        self, launcher: Launcher, workers: int, gpus: Sequence[str] = (), *, overlap: bool | None = None
    ) -> None:
        self._launcher = launcher
        overlap = bool(gpus) if overlap is None else overlap
        self._devices = [Slots(gpu, workers, overlap) for gpu in gpus or (None,)]
        self._intact = IntactWeights()
        self._cut_short: dict[str, str] = {}  # by run id, why a repeated evaluation was ended
        self._incomplete: list[str] = []  # a sentence for each record that still lacks answers

    def execute(self, runs: Sequence[PlannedRun], context: RunContext, watcher: Watcher) -> list[Record]:
        """Run everything, most expensive runs first, and return the new records.

        Once the time of the invocation is up, no job starts, and those under way have `GRACE_SECONDS` to end.

        Args:
            runs: those that have no complete record yet.
            context: where to read and write.
            watcher: is called for every job that starts, advances or ends.

        Raises:
            DataError: weights that a run would start from differ from their record.
            KdbenchError: a run left no record, or, when all others are done, one could not be evaluated once more.
            WriteError: a run's folder cannot be written.
        """
        waiting = {run.run_id: run for run in sorted(runs, key=lambda run: -run.cost)}
        records: list[Record] = []
        next_check = 0.0
        try:
            while (waiting or self._active) and not context.is_time_up(for_seconds=GRACE_SECONDS):
                if context.is_time_up():
                    waiting.clear()
                    self._drop_what_waits()
                self._start_what_can_start(waiting, context, watcher)
                time.sleep(_POLL_SECONDS)
                check = time.monotonic() >= next_check
                next_check = time.monotonic() + _LIMIT_CHECK_SECONDS if check else next_check
                records += [self._collect(job, context, watcher) for job in self._ended(check, watcher)]
        finally:
            for slots in self._devices:
                for handle in slots.handles:
                    handle.kill()
            self._launcher.release()
        if self._incomplete:
            more = f" ({len(self._incomplete) - 1} more such runs)" if len(self._incomplete) > 1 else ""
            raise KdbenchError(f"{self._incomplete[0]}{more}")
        return records

    @property
    def _active(self) -> set[str]:
        """The runs that have begun and not ended."""
        return {run_id for slots in self._devices for run_id in slots.run_ids}

    def _ended(self, check_limits: bool, watcher: Watcher) -> list[Job]:
        """Follow all jobs, and return the last one of each run that has ended."""
        return [
            handle.job
            for slots in self._devices
            for handle in slots.handles
            if self._has_ended(handle, slots, check_limits, watcher)
        ]

    def _has_ended(self, handle: Handle, slots: Slots, check_limits: bool, watcher: Watcher) -> bool:
        """Follow a job, let the job that follows it in its run wait, and return whether the run has ended."""
        if (progress := handle.progress()) is not None:
            watcher.advanced(handle.job, *progress)
        follow_up = self._next_job(handle, check_limits)
        if follow_up is False:
            return False
        slots.remove(handle)
        if follow_up is True:
            return True
        if follow_up.failure is not None or not follow_up.context.is_time_up():  # else a later invocation goes on
            neighbours = max(follow_up.beside, slots.beside(follow_up.run.run_id))
            slots.trained.append(replace(follow_up, beside=neighbours))
        return False

    def _drop_what_waits(self) -> None:
        """End prepared trainings, and leave evaluations that have not begun to a later invocation."""
        for slots in self._devices:
            while slots.prepared:
                slots.prepared.pop().kill()
            slots.trained = deque(job for job in slots.trained if job.failure is not None)

    def _start_what_can_start(self, waiting: dict[str, PlannedRun], context: RunContext, watcher: Watcher) -> None:
        """Start the evaluations that wait, trainings wherever there is room, and the preparation of further ones."""
        for slots in self._devices:
            self._evaluate(slots, watcher)
            while slots.prepared and slots.has_room:
                self._train(slots.prepared.popleft(), slots, watcher)
        while idlest := self._idlest([slots for slots in self._devices if slots.has_room]):
            if (job := self._ready_job(waiting, context, idlest.gpu)) is None:
                break
            self._begin(job, idlest, watcher)
        for slots in self._devices:
            while slots.can_prepare and (job := self._ready_job(waiting, context, slots.gpu)):
                if job.kind == "train":
                    slots.prepared.append(self._launcher.prepare(job))
                else:
                    self._begin(job, slots, watcher)
            slots.note_neighbours()

    def _begin(self, job: Job, slots: Slots, watcher: Watcher) -> None:
        """Start the first job of a run."""
        if job.kind == "train":
            self._train(self._launcher.prepare(job), slots, watcher)
        else:
            slots.trained.append(job)
            self._evaluate(slots, watcher)

    def _train(self, handle: Handle, slots: Slots, watcher: Watcher) -> None:
        slots.training[handle.job.run.run_id] = handle
        handle.proceed()
        watcher.started(handle.job)

    def _evaluate(self, slots: Slots, watcher: Watcher) -> None:
        while slots.trained and slots.can_evaluate:
            job = slots.trained.popleft()
            slots.evaluating[job.run.run_id] = self._launcher.evaluate(job)
            watcher.started(job)

    @staticmethod
    def _idlest(devices: Sequence[Slots]) -> Slots | None:
        """Return the device with the fewest jobs, the first of equals; a run stays on it to its end."""
        return min(devices, key=lambda slots: len(slots.run_ids), default=None)

    def _ready_job(self, waiting: dict[str, PlannedRun], context: RunContext, gpu: str | None) -> Job | None:
        """Take the most expensive run whose teachers are done, and return its first job on a GPU; None without one."""
        active = self._active
        for run in waiting.values():
            needed = run.references if run.teacher is None else (run.teacher, *run.references)
            if any(teacher.run_id in waiting or teacher.run_id in active for teacher in needed):
                continue
            del waiting[run.run_id]
            job = _first_job(run, context)
            if job.failure is None:
                self._check_weights(job, context)
            return replace(job, gpu=gpu)
        return None

    def _check_weights(self, job: Job, context: RunContext) -> None:
        """Compare all weights that a job will read with their records.

        An altered file would otherwise spoil the records of all students that it teaches or is compared with.
        """
        run, folder = job.run, job.folder
        trained = ended_training(folder) if job.kind == "evaluate" else None
        if trained and trained.status == "ok":
            self._intact.check(run, folder, trained.weights)
        for teacher in ((run.teacher,) if run.teacher else ()) + run.references:
            record = existing_record(context, teacher)
            is_needed = teacher is run.teacher and job.kind == "train"
            if record and (is_needed or (context.folder(teacher) / WEIGHTS).exists()):
                self._intact.check(teacher, context.folder(teacher), weights_beside(context.folder(teacher), record))

    def _next_job(self, handle: Handle, check_limits: bool) -> Job | bool:
        """Return the job that follows, True if the run has ended, or False if it goes on."""
        job, code = handle.job, handle.poll()
        if code is None:
            over = handle.over_limit() if check_limits else None
            if over is None:
                return False
            handle.kill()
            if job.kind == "train":
                return replace(job, kind="evaluate", failure=over)
            return self._unevaluated(job, *over)
        if job.kind == "evaluate" and code == CANNOT_WRITE:
            raise WriteError(
                f"{job.run.title} cannot write into {job.folder}: its disk is full or cannot be written; "
                "free space and give the same command again to continue, or choose another folder with --out"
            )
        if job.kind == "evaluate":
            return True if code == 0 else self._unevaluated(job, *_death(job, code))
        if code == 0 or (code == STOPPED and job.context.is_time_up()):
            return replace(job, kind="evaluate")
        check_writable(job.context.results)
        return replace(job, kind="evaluate", failure=_death(job, code))

    def _unevaluated(self, job: Job, status: Status, reason: str) -> Job | bool:
        """Return the job that records why a trained run could not be evaluated, True if there is none.

        A run that was evaluated before keeps its record, which only lacks further answers.
        """
        reason = f"{reason} while it was evaluated; {_REMEDIES[status]}"
        if job.failure is not None:
            return True
        if (job.folder / RESULT).exists() and read_record(job.folder).status == "ok":
            self._cut_short[job.run.run_id] = reason
            return True
        return replace(job, failure=(status, reason))

    def _collect(self, job: Job, context: RunContext, watcher: Watcher) -> Record:
        log = job.folder / LOG
        why = self._cut_short.get(job.run.run_id) or f"{log} ends with: {_last_line(log)}"
        try:
            record = read_record(context.folder(job.run))
        except RecordError as error:
            raise KdbenchError(f"{job.run.title} left no record; {why}") from error
        if not is_complete(context, job.run, record):
            self._incomplete.append(f"{job.run.title} was not evaluated once more, and its record is as before; {why}")
        watcher.finished(job.run, record)
        return record


def _first_job(run: PlannedRun, context: RunContext) -> Job:
    """Return the training, or the evaluation alone if the training ended before or cannot begin."""
    if run.teacher:
        teacher = existing_record(context, run.teacher)
        if teacher is None or teacher.status != "ok":
            why = "has no record" if teacher is None else f"ended as {teacher.status}"
            return Job("evaluate", run, context, ("error", f"its teacher ({run.teacher.title}) {why}"))
    forget_failure(context.scratch(run))  # the disk of an earlier command may be what made it fail
    left = os.path.lexists(context.scratch(run) / OUTCOME)  # what it is, an evaluation finds out
    trained = left or read_outcome(context.folder(run)) is not None or needs_evaluation_only(context, run)
    return Job("evaluate" if trained else "train", run, keeping_diagnostics(context, run))


def _death(job: Job, code: int) -> tuple[Status, str]:
    """Return what the exit code of a guard says of its work, or that of a guard which was ended itself."""
    if job.kind == "evaluate" and code == GPU_FAILED:
        return "error", GPU_FAULT
    number = -code if code < 0 else code - SIGNALLED
    if number == signal.SIGKILL:
        return "oom", "the system ended the process (signal 9), most likely because memory ran out"
    how = f"signal {number}" if number > 0 else f"exit code {code}"
    process = "training" if job.kind == "train" else "evaluation"
    return "error", f"the {process} process ended by {how}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "nothing"
