"""Starts a job in a process of its own, and ends it when it goes over a limit."""

import contextlib
import json
import math
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, Protocol, TypeVar

from kdbench.errors import KdbenchError
from kdbench.interruptions import interruption_held_back
from kdbench.jobs.gpu_room import GpuRoom
from kdbench.jobs.job import DONE, AnyJob, CheckJob, DescribeJob, EvaluatorJob, Job, RoomJob, TimingJob
from kdbench.jobs.process_tree import bytes_of_file, bytes_without_name, end_tree, family_of, files_below, memory_above
from kdbench.jobs.progress_pipe import ProgressReader
from kdbench.jobs.temporary_folders import short_socket_folder
from kdbench.records import LOG, Status
from kdbench.spec import Track


@dataclass(frozen=True)
class Limits:
    """What one job may take, with all processes that it starts.

    Attributes:
        seconds: of wall time.
        memory_bytes: of memory, shared memory included.
        disk_bytes: that the files of a training take.
        files: their number, folders included.
        log_bytes: of what it prints.
        processes: at a time.
    """

    seconds: float
    memory_bytes: int
    disk_bytes: int = 16 * 2**30
    files: int = 100_000
    log_bytes: int = 64 * 2**20
    processes: int = 256


# glibc returns the memory of every large tensor to the system at once by default, and gets it back page by page. These
# thresholds, in bytes, let a process keep it.
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
MOST_SECONDS_TO_MEASURE = 180.0
DESCRIBE_LIMITS = Limits(seconds=60, memory_bytes=8 * 2**30, disk_bytes=64 * 2**20, processes=32)
JobType = TypeVar("JobType", bound=AnyJob)


class Handle(Protocol):
    """A started job."""

    @property
    def job(self) -> Job: ...

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""

    def over_limit(self) -> tuple[Status, str] | None:
        """Return the status and the reason if the job has gone over a limit."""

    def progress(self) -> tuple[int, int] | None:
        """Return the newest (done, total) that the job reported, None if there is nothing new."""

    def proceed(self) -> None:
        """Let a prepared training go on to the code of its method; its limit on time begins now."""

    def kill(self) -> None:
        """End the job and all processes that it started, and wait for their end."""


class Launcher(Protocol):
    """Hides how a job gets its process."""

    def prepare(self, job: Job) -> Handle:
        """Start a training that does what needs no method, then waits for `proceed`; return at once."""

    def evaluate(self, job: Job) -> Handle:
        """Start an evaluation and return at once."""

    def release(self) -> None:
        """End the processes that wait for further jobs."""


class ForkLauncher:
    """Forks jobs from one clean server process that has imported everything and touched neither CUDA nor OpenMP.

    The server starts with the first job, from a fixed environment. This process never runs the code of a method, so
    none can have changed it by then; and an option that is wrong is refused before anything starts.

    Every training has a process of its own. Evaluations, which run no code of a method, are done one after another by
    processes that keep what they have opened; one of them that has failed at an evaluation is not used again.
    """

    def __init__(self, limits: Limits) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["kdbench.jobs.child", __name__])
        self._limits = limits
        self._idle: list[ForkHandle[EvaluatorJob]] = []

    def prepare(self, job: Job) -> "ForkHandle[Job]":
        handle = self._fork(job, self._limits)
        handle.stop_clock()
        return handle

    def evaluate(self, job: Job) -> "EvaluationHandle":
        return EvaluationHandle(job, self._evaluator(job.gpu), self._idle)

    def measure_room(self, track: Track, gpu: str) -> GpuRoom:
        """Return the room that a GPU has for runs of a track; KdbenchError if it cannot be measured."""
        handle = self._fork(RoomJob(track, gpu), self._limits)
        try:
            if handle.orders.poll(MOST_SECONDS_TO_MEASURE):
                return GpuRoom(*json.loads(handle.orders.recv_bytes()))
        except EOFError:
            pass  # it has ended without an answer
        finally:
            handle.kill()
        raise KdbenchError(
            f"the memory of GPU {gpu} cannot be measured, most likely because CUDA does not start on it or a single "
            "step does not fit; --workers 1 runs without a measurement"
        )

    def release(self) -> None:
        while self._idle:
            self._idle.pop().kill()

    def _evaluator(self, gpu: str | None) -> "ForkHandle[EvaluatorJob]":
        """Return a process that waits for an evaluation on a GPU, or a new one."""
        for evaluator in [waiting for waiting in self._idle if waiting.job.gpu == gpu]:
            self._idle.remove(evaluator)
            if evaluator.poll() is None:
                return evaluator
            evaluator.kill()
        return self._fork(EvaluatorJob(gpu), self._limits)

    def time(self, job: TimingJob) -> "ForkHandle[TimingJob]":
        """Start timing training steps and return at once."""
        return self._fork(job, self._limits)

    def check(self, job: CheckJob) -> "ForkHandle[CheckJob]":
        """Start checking a method file and return at once."""
        return self._fork(job, self._limits)

    def describe(self, job: DescribeJob) -> "ForkHandle[DescribeJob]":
        """Start answering an inquiry and return at once."""
        return self._fork(job, DESCRIBE_LIMITS)

    def _fork(self, job: JobType, limits: Limits) -> "ForkHandle[JobType]":
        with fixed_environment(), short_socket_folder():
            resource_tracker.ensure_running()  # when it starts, it lets interruptions through again
            with interruption_held_back():
                forkserver.ensure_running()
        receiver, sender = self._context.Pipe(duplex=False)
        orders, taken = self._context.Pipe()
        process = self._context.Process(target=enter, args=(job, sender, taken))
        process.start()
        sender.close()
        taken.close()
        return ForkHandle(job, process, receiver, orders, limits)


@contextmanager
def fixed_environment() -> Iterator[None]:
    """Let a Python that is started see the import path of this one, and no variable that changes its results."""
    before = dict(os.environ)
    hidden = [name for name in before if name.startswith("PYTHON") or name == "LD_PRELOAD"]
    try:
        for name in hidden:
            del os.environ[name]
        os.environ |= KEPT_MEMORY
        os.environ["PYTHONHASHSEED"] = "0"
        os.environ["PYTHONSAFEPATH"] = "1"
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def enter(job: AnyJob, pipe: Connection, orders: Connection) -> None:
    """Do a job in the child process that was started for it."""
    from kdbench.jobs.child import child  # the launching process stays light

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the server holds it back
    child(job, pipe, orders)


class ForkHandle(Generic[JobType]):
    """A job in a forked process."""

    def __init__(
        self, job: JobType, process: BaseProcess, receiver: Connection, orders: Connection, limits: Limits
    ) -> None:
        self.job, self.orders = job, orders
        self._process, self._receiver, self._limits = process, receiver, limits
        self._progress = ProgressReader(receiver.fileno())
        self._started = time.monotonic()

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` waits for: the end of the process."""
        return self._process.sentinel

    def stop_clock(self) -> None:
        """Let no limit on time hold until `restart_clock`."""
        self._started = math.inf

    def restart_clock(self) -> None:
        """Let the limit on time begin now."""
        self._started = time.monotonic()

    def proceed(self) -> None:
        self.order(b"")
        self.restart_clock()

    def order(self, content: bytes) -> None:
        """Send an order to the process; nothing happens if it has ended, which `poll` shows."""
        with contextlib.suppress(OSError):
            self.orders.send_bytes(content)

    def poll(self) -> int | None:
        return self._process.exitcode

    def over_limit(self) -> tuple[Status, str] | None:
        if time.monotonic() - self._started > self._limits.seconds:
            return "timeout", f"took more than {self._limits.seconds:.0f} seconds"
        assert self._process.pid is not None
        processes = family_of(self._process.pid)
        if (used := memory_above(processes, self._limits.memory_bytes)) is not None:
            return (
                "oom",
                f"took {used / 2**30:.1f} GiB of memory; the limit is {self._limits.memory_bytes / 2**30:.1f} GiB",
            )
        if len(processes) - 1 > self._limits.processes:
            return "error", f"started more than {self._limits.processes} processes"
        excess = self._excess_of_files(processes) if self.job.runs_method else None
        return ("error", excess) if excess else None

    def _excess_of_files(self, processes: Sequence[int]) -> str | None:
        """Return which limit on files the job has gone over, in words."""
        limits, files = self._limits, files_below(self.job.scratch, self._limits.files)
        if files.hidden:
            return "made folders that cannot be read"
        if files.number > limits.files:
            return f"left more than {limits.files:,} files"
        if files.bytes + bytes_without_name(processes, in_memory=False) > limits.disk_bytes:
            return f"left more than {limits.disk_bytes / 2**30:.1f} GiB of files"
        if bytes_of_file(self.job.scratch / LOG) > limits.log_bytes:
            return f"printed more than {limits.log_bytes / 2**20:.0f} MiB"
        return None

    def progress(self) -> tuple[int, int] | None:
        return self._progress.newest()

    def kill(self) -> None:
        assert self._process.pid is not None
        if self.poll() is None:  # else another process may have its number by now
            end_tree(self._process.pid)
        self._process.join()
        self.orders.close()


class EvaluationHandle:
    """An evaluation by a process that does one after another.

    Args:
        job: the evaluation.
        evaluator: the process, which does nothing else meanwhile.
        idle: receives the process once it has written the record.
    """

    def __init__(self, job: Job, evaluator: ForkHandle[EvaluatorJob], idle: list[ForkHandle[EvaluatorJob]]) -> None:
        self.job, self._evaluator, self._idle, self._done = job, evaluator, idle, False
        evaluator.restart_clock()
        evaluator.order(pickle.dumps(job))

    def poll(self) -> int | None:
        if not self._done and self._answered():
            self._done = True
            self._idle.append(self._evaluator)
        return 0 if self._done else self._evaluator.poll()

    def _answered(self) -> bool:
        with contextlib.suppress(OSError, EOFError):
            return self._evaluator.orders.poll() and self._evaluator.orders.recv_bytes(len(DONE)) == DONE
        return False

    def over_limit(self) -> tuple[Status, str] | None:
        return self._evaluator.over_limit()

    def progress(self) -> tuple[int, int] | None:
        return self._evaluator.progress()

    def proceed(self) -> None:
        """Do nothing: an evaluation never waits."""

    def kill(self) -> None:
        if not self._done:
            self._evaluator.kill()
