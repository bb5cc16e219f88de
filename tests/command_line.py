"""The command line as tests use it: run in this process, and what it said."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kdbench.cli.main import main


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Said]


def command_in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process, which has imported everything already."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, cwd: Path | None = None) -> Said:
        monkeypatch.setattr(sys, "argv", ["kdbench", *arguments])
        monkeypatch.chdir(cwd or Path.cwd())
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Said(int(str(code or 0)), said.out, said.err)

    return run


def assert_refused(result: Said, *words: str) -> None:
    """Exit code 2, and a few lines with all of `words` and no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4
    for word in words:
        assert word in result.stderr
