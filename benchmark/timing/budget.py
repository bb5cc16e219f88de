"""Does checks in processes of their own, within a limit on the time of all of them together."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer

from benchmark.timing.rows import CheckRow, row_of

LONGEST_ERROR = 300  # characters


@dataclass(frozen=True)
class Check:
    """A check that makes some rows.

    Attributes:
        name: of the check.
        most: seconds after which it is ended.
        least: seconds that must be left for it to start.
    """

    name: str
    most: float
    least: float = 20.0


Start = Callable[[Check, float], Iterator[CheckRow]]
"""Does a check within some seconds and yields its rows."""


def within_budget(
    checks: Sequence[Check], seconds: float, start: Start, clock: Callable[[], float] = time.monotonic
) -> Iterator[CheckRow]:
    """Do checks one after the other; a check for which too little time is left is a row that says so.

    Args:
        checks: in the order in which they matter.
        seconds: for all of them together.
        start: does one of them.
        clock: returns seconds.
    """
    end = clock() + seconds
    for check in checks:
        left = end - clock()
        if left < check.least:
            needed = f"it needs {check.least:.0f} s, and {max(0.0, left):.0f} s are left"
            yield CheckRow(check.name, f"not measured: {needed}", good=False)
        else:
            yield from start(check, min(check.most, left))


def rows_of_process(check: str, command: Sequence[str], seconds: float) -> Iterator[CheckRow]:
    """Yield the rows that a process prints as lines of JSON, as soon as they come.

    A process that dies, or that is not finished after some seconds and is ended with all that it started, is one more
    row. So no check can damage another one, whatever becomes of its CUDA context.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        limit = _Limit(process, seconds)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if (row := row_of(line)) is not None:
                    yield row
            process.wait()
        finally:
            limit.end()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines() or ["it printed no error"]
    if limit.reached:
        yield CheckRow(check, f"ended after {seconds:.0f} s, before it was finished", good=False)
    elif process.returncode:
        yield CheckRow(check, f"exit code {process.returncode}: {lines[-1][:LONGEST_ERROR]}", good=False)


class _Limit:
    """Ends a process and its group after some seconds, or when it is no longer needed."""

    def __init__(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        self._process, self.reached = process, False
        self._timer = Timer(seconds, self._reach)
        self._timer.daemon = True
        self._timer.start()

    def _reach(self) -> None:
        self.reached = True
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Stop waiting, and end what is left of the group."""
        self._timer.cancel()
        self._kill()
        self._process.wait()
