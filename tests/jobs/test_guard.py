"""A guard ends everything that its work has started, and says how the work ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kdbench.jobs.guard import SIGNALLED, guard
from kdbench.jobs.sandbox import Measure

DAEMON = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"


def code_of(work: Callable[[tuple[Measure, ...]], None], *, confined: bool = False, launcher_ends: bool = False) -> int:
    """Return the exit code of a guard over some work."""
    alive, held = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(alive)
        guard(work, held, scratch=Path("/tmp") if confined else None)
    os.close(held)
    if launcher_ends:
        os.close(alive)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if not launcher_ends:
        os.close(alive)
    return code


def ending_with(code: int) -> Callable[[tuple[Measure, ...]], None]:
    return lambda measures: sys.exit(code)


def test_the_code_of_the_work_is_passed_on() -> None:
    assert code_of(lambda measures: None) == 0
    assert code_of(ending_with(42)) == 42


def test_work_that_raises_ends_with_one(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(measures: tuple[Measure, ...]) -> None:
        raise ValueError("reason")

    assert code_of(fail) == 1
    assert "ValueError: reason" in capfd.readouterr().err


@pytest.mark.parametrize("confined", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_that_ends_the_work_is_told(number: signal.Signals, confined: bool) -> None:
    assert code_of(lambda measures: os.kill(os.getpid(), number), confined=confined) == SIGNALLED + number


@pytest.mark.parametrize("confined", [False, True])
def test_a_daemon_does_not_outlive_the_work(tmp_path: Path, confined: bool) -> None:
    note = tmp_path / "pid"

    def leave_a_daemon(measures: tuple[Measure, ...]) -> None:
        subprocess.Popen([sys.executable, "-c", DAEMON, str(note)], start_new_session=True)
        while not note.exists() or not note.read_text():
            time.sleep(0.01)

    before = {process.pid for process in psutil.process_iter()}
    assert code_of(leave_a_daemon, confined=confined) == 0
    left = [process for process in psutil.process_iter(["cmdline"]) if process.pid not in before]
    assert not [process for process in left if str(note) in (process.info["cmdline"] or [])]


def test_work_does_not_outlive_the_launcher() -> None:
    started = time.monotonic()
    assert code_of(lambda measures: time.sleep(60), launcher_ends=True) == SIGNALLED + signal.SIGKILL
    assert time.monotonic() - started < 30
