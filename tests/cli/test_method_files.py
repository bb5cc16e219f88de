"""No command runs the code of a method file in its own process: each asks or starts a process that is confined."""

import ast
import os
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

import kdbench
from kdbench.cli.main import COMMANDS, name_of
from kdbench.methods.files import read_method_file
from kdbench.plan.matrix import NUMERICS_VERSION
from kdbench.records import read_record
from kdbench.records.identity import identity_of
from kdbench.records.storage import record_folder, seal_record
from tests.command_line import Command
from tests.record_factory import write_matrix

MARK = "KDBENCH_TEST_MARK"
SOURCE = f"""
import os, sys
os.environ[{MARK!r}] = sys.{MARK} = "imported"
raise RuntimeError("imported, and marked")
"""
PACKAGE = Path(kdbench.__file__).parent
IMPORTERS = {  # modules that import method files, all of which work in processes that were started for it
    "kdbench.checks.examination",
    "kdbench.jobs.train_job",
    "kdbench.methods.describing",
    "kdbench.timing.timed_training",
}


@pytest.fixture
def marking(tmp_path: Path) -> Path:
    """A method file that leaves a mark in the process that imports it."""
    path = tmp_path / "marking.py"
    path.write_text(SOURCE)
    return path


def run(marking: Path) -> list[str]:
    folders = f"--out={marking.parent / 'runs'}", f"--site={marking.parent / 'site'}"
    return ["run", f"--methods={marking}", "--device=cpu", *folders]


def timing(marking: Path) -> list[str]:
    return ["timing", f"--methods={marking}", "--device=cpu", f"--out={marking.parent / 'timing.json'}"]


def verify(marking: Path) -> list[str]:
    """Retrain a student that is said to have been trained with the file."""
    folder = write_matrix(marking.parent / "runs", directions=("cnn-to-vit",), images=50)[-1]
    record = read_record(folder)
    digests = record.digests.model_copy(update={"code": read_method_file(marking).code})
    record = record.model_copy(update={"digests": digests, "numerics": NUMERICS_VERSION})
    record = record.model_copy(update={"run_id": identity_of(record).run_id})
    to = record_folder(folder.parents[1], record.track, record.run_id, record.digests.testsets)
    folder.rename(to)
    seal_record(to, record)
    return ["verify", str(to), "--retrain", f"--method={marking}"]


def check(marking: Path) -> list[str]:
    return ["check", str(marking)]


def trial(marking: Path) -> list[str]:
    return ["try", str(marking), f"--out={marking.parent / 'trials'}"]


def submit(marking: Path) -> list[str]:
    runs = marking.parent / "runs"
    write_matrix(runs, directions=("cnn-to-vit",), images=50)
    return ["submit", str(marking), str(runs), f"--to={marking.parent / 'submission'}"]


BY_NAME = "forget"  # takes the name of a method, and reads no file
ARGUMENTS: dict[str, Callable[[Path], list[str]]] = {
    "run": run,
    "timing": timing,
    "verify": verify,
    "check": check,
    "try": trial,
    "submit": submit,
}


@pytest.mark.parametrize("command", ARGUMENTS)
def test_no_command_imports_a_method_file_in_its_own_process(command: str, marking: Path, kdbench: Command) -> None:
    result = kdbench(*ARGUMENTS[command](marking))
    assert result.returncode == (1 if command in ("check", "try") else 2), result.stderr  # a finding, and not a refusal
    assert "marking.py:4: the file does not import: RuntimeError: imported, and marked" in result.stdout + result.stderr
    assert MARK not in os.environ
    assert not hasattr(sys, MARK)


def test_every_command_that_takes_method_files_is_tried() -> None:
    named = {name_of(command) for command, _ in COMMANDS if {"method", "methods"} & set(signature(command).parameters)}
    assert named - {BY_NAME} == set(ARGUMENTS)


def test_method_files_are_imported_by_nothing_else() -> None:
    importers = set()
    for path in PACKAGE.rglob("*.py"):
        modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        if "kdbench.methods.loading" in modules:
            importers.add(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    assert importers == IMPORTERS
