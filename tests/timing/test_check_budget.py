"""Checks in processes of their own, within a limit on their time."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.timing.budget import Check, rows_of_process, within_budget
from benchmark.timing.rows import CheckRow, row_of

ROW = CheckRow("a check", "3 images/s", True, {"rate": 3.0})


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class Clock:
    """A clock that only checks move on."""

    def __init__(self, *durations: float) -> None:
        self.seconds, self._durations = 0.0, list(durations)
        self.given: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    def start(self, check: Check, most: float) -> Iterator[CheckRow]:
        self.given.append(most)
        self.seconds += min(most, self._durations.pop(0))
        yield CheckRow(check.name, "done", good=True)


def test_each_check_gets_its_time_or_what_is_left() -> None:
    clock = Clock(100, 50, 100)
    rows = list(within_budget([Check("a", 110), Check("b", 60), Check("c", 60)], 180, clock.start, clock))
    assert clock.given == [110, 60, 30]
    assert [row.good for row in rows] == [True, True, True]


def test_a_check_without_time_is_a_row_and_a_shorter_one_still_runs() -> None:
    clock = Clock(85, 1)
    checks = [Check("a", 90), Check("b", 60, least=20), Check("c", 10, least=5)]
    done, skipped, short = within_budget(checks, 100, clock.start, clock)
    assert (done.good, short.good) == (True, True)
    assert str(skipped) == "MISS b: not measured: it needs 20 s, and 15 s are left"


def test_a_row_survives_its_way_between_processes() -> None:
    assert row_of(ROW.as_json()) == ROW


@pytest.mark.parametrize(
    "line", ["", "loading", "3", "[]", '{"check": "a"}', '{"check": "a", "result": "b", "more": 1}']
)
def test_a_line_that_is_no_row_is_passed_over(line: str) -> None:
    assert row_of(line) is None


def test_rows_come_as_soon_as_they_are_printed() -> None:
    code = f"print('noise'); print({ROW.as_json()!r}, flush=True); import time; time.sleep(60)"
    rows = rows_of_process("a check", python(code), 50)
    started = time.monotonic()
    assert next(rows) == ROW
    del rows
    assert time.monotonic() - started < 40  # the process was ended, not awaited


def test_a_process_that_dies_is_a_row() -> None:
    (row,) = rows_of_process("a check", python("raise SystemExit('CUDA error: an illegal access')"), 60)
    assert str(row) == "MISS a check: exit code 1: CUDA error: an illegal access"


def test_a_process_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    child = f"import time; time.sleep(1); open({str(tmp_path)!r} + '/late', 'w')"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    (row,) = rows_of_process("a check", python(code), 0.5)
    assert str(row) == "MISS a check: ended after 0 s, before it was finished"
    time.sleep(1.5)
    assert list(tmp_path.iterdir()) == []
