"""Runs the command line in the process of the tests and keeps what it printed."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdbench.cli.main import main


@dataclass(frozen=True)
class Finished:
    """The exit code of a command and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Finished]


def command_in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command line in this process, which has imported everything already."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, cwd: Path | None = None) -> Finished:
        monkeypatch.setattr(sys, "argv", ["kdbench", *arguments])
        monkeypatch.chdir(cwd or Path.cwd())
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return Finished(int(str(code or 0)), printed.out, printed.err)

    return run


def assert_refused(result: Finished, *words: str) -> None:
    """Assert that a command ended with exit code 2 and a few lines with all of `words`, without a traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4
    for word in words:
        assert word in result.stderr
