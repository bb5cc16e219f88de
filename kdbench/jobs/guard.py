"""Run work in a tree of processes that has ended, all of it, before anybody reads what it left.

The guard is the process that the launcher starts; the work runs in its child, and whatever the work starts runs below
that. The guard runs no code of a method. It ends the tree when the work has ended and when the launcher is gone.
"""

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import psutil

from kdbench.jobs import sandbox
from kdbench.jobs.sandbox import Measure

SIGNALLED = 64  # the exit code of a guard whose work was ended by a signal: this, and the signal's number


def guard(
    work: Callable[[tuple[Measure, ...]], None], launcher: int, *, scratch: Path | None, early: Path | None = None
) -> NoReturn:
    """Fork a process that does `work`, wait for its end, and end everything that it started.

    The exit code is that of the work, below `SIGNALLED`; it is `SIGNALLED` plus a number if a signal ended the work.

    Args:
        work: is told which measures hold for it already.
        launcher: file descriptor of a pipe that the launcher holds the other end of.
        scratch: give the work namespaces of its own, in which it writes below this folder only, as far as the kernel
            allows it; None to leave it where it is.
        early: another folder below which it may write at first; the work itself then takes care of it.
    """
    os.setsid()
    sandbox.adopt_orphans()
    separate = scratch is not None and sandbox.enter_namespaces()
    first = os.fork()
    if first == 0:
        sandbox.end_with_parent()
        if scratch is not None and separate:
            _lead(work, [scratch] if early is None else [scratch, early])
        _work(work, ())
    code = _exit_code(_wait(first, launcher))
    if not separate:  # else the kernel ended them with the first process of their namespace
        _end_descendants()
    os._exit(code)


def _lead(work: Callable[[tuple[Measure, ...]], None], writable: Sequence[Path]) -> NoReturn:
    """Be the first process of a namespace: fork the work, and end as it does; the kernel ends whatever is left.

    The work itself must not be the first process, which signals cannot end from within.
    """
    measures: tuple[Measure, ...] = ("read-only",) if sandbox.write_only_below(*writable) else ()
    measures = (*(("namespaces",) if sandbox.see_own_processes() else ()), *measures)
    worker = os.fork()
    if worker == 0:
        _work(work, measures)
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 2**16))  # the work sees this process, and needs none of its files
    while True:
        process, status = os.waitpid(-1, 0)
        if process == worker:
            os._exit(_exit_code(status))


def _exit_code(status: int) -> int:
    return SIGNALLED + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _work(work: Callable[[tuple[Measure, ...]], None], measures: tuple[Measure, ...]) -> NoReturn:
    code = 1
    try:
        work(measures)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code % 256)


def _wait(process: int, launcher: int) -> int:
    """Return the status of a process once it has ended; end it when the launcher is gone."""
    end = os.pidfd_open(process)
    events = select.poll()
    events.register(end, select.POLLIN)
    events.register(launcher, 0)
    while end not in (ready := [descriptor for descriptor, _ in events.poll()]):
        os.kill(process, signal.SIGKILL)
        for descriptor in ready:
            events.unregister(descriptor)
    return os.waitpid(process, 0)[1]


def _end_descendants() -> None:
    """End all processes below this one; orphans among them have become its children."""
    while descendants := psutil.Process().children(recursive=True):
        for process in descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)
