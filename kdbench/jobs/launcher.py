"""Starts a job in a process of its own, and ends it when it goes over a limit."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

import psutil

from kdbench.jobs.job import Job
from kdbench.records import Status


@dataclass(frozen=True)
class Limits:
    """Seconds of wall time and bytes of memory that one job may take."""

    seconds: float
    memory_bytes: int


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

    def kill(self) -> None:
        """End the job's whole process group at once, and wait for its end."""


class Launcher(Protocol):
    """Hides how a job gets its process."""

    def start(self, job: Job) -> Handle:
        """Start a job and return at once."""


class ForkLauncher:
    """Forks jobs from one clean server process that has imported everything and touched neither CUDA nor OpenMP."""

    def __init__(self, limits: Limits) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["kdbench.jobs.child", __name__])
        self._limits = limits

    def start(self, job: Job) -> "ForkHandle":
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=enter, args=(job, sender))
        process.start()
        sender.close()
        return ForkHandle(job, process, receiver, self._limits)


def enter(job: Job, progress: Connection) -> None:
    """Do a job in the child process that was started for it."""
    from kdbench.jobs.child import child  # the launching process stays light

    child(job, progress)


class ForkHandle:
    """A job in a forked process; its process group has the number of the process."""

    def __init__(self, job: Job, process: BaseProcess, receiver: Connection, limits: Limits) -> None:
        self.job = job
        self._process, self._receiver, self._limits = process, receiver, limits
        self._started = time.monotonic()

    def poll(self) -> int | None:
        return self._process.exitcode

    def over_limit(self) -> tuple[Status, str] | None:
        if time.monotonic() - self._started > self._limits.seconds:
            return "timeout", f"took more than {self._limits.seconds:.0f} seconds"
        used = _memory_of_group(self._process.pid)
        if used > self._limits.memory_bytes:
            return "oom", f"took {used / 2**30:.1f} GiB of memory, allowed are {self._limits.memory_bytes / 2**30:.1f}"
        return None

    def progress(self) -> tuple[int, int] | None:
        newest = None
        with contextlib.suppress(EOFError, OSError):
            while self._receiver.poll():
                newest = self._receiver.recv()
        return newest

    def kill(self) -> None:
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()


def _memory_of_group(pid: int | None) -> int:
    """Return the bytes of a process and its descendants, without the pages that they share with the server process."""
    total = 0
    with contextlib.suppress(psutil.Error):
        leader = psutil.Process(pid)
        for process in (leader, *leader.children(recursive=True)):
            memory = process.memory_info()
            total += memory.rss - getattr(memory, "shared", 0)
    return total
