"""A board that several machines make in slices, one after the other, is the board that one machine makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.slice import arguments_of
from kdbench.plan.context import SCRATCH
from kdbench.records import Record, find_records, read_record
from kdbench.records.integrity import read_answers
from kdbench.training.checkpoints import CHECKPOINT
from tests.command_line import Command

SCRIPT = Path(__file__).parents[2] / "benchmark" / "slice.py"
SMALL = ("--limit-train", "128", "--limit-test", "10", "--epochs", "2", "--directions", "vit-to-cnn", "--no-mlflow")
PATIENCE = 900  # seconds; nothing is timed here, so that a busy machine only takes longer
MOST_SLICES = 20
SLOW = """
import time
from dataclasses import dataclass
from kdbench.api import BOTH, Method
import torch.nn.functional as F

class Slow(Method):
    name, paper, summary, directions, uses_teacher = "slow", "", "takes seconds for a step", BOTH, False
    @dataclass(frozen=True)
    class Config:
        pass
    def loss(self, batch, student, teacher):
        time.sleep(5)
        return F.cross_entropy(student.logits, batch.labels)
"""


class Machine:
    """A folder with nothing but an installed kdbench, an empty cache and a method file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "runs"
        (folder / "cache").mkdir(parents=True)
        (folder / "slow.py").write_text(SLOW)
        self._options = ["--methods", "lm,slow.py", "--workers", "1", *SMALL]

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"KDBENCH_CACHE": str(self.folder / "cache"), "PYTHONPATH": str(SCRIPT.parents[1])}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def slice(self, minutes: float, pack: Path) -> "subprocess.CompletedProcess[str]":
        arguments = ["--track", "synthetic", "--minutes", f"{minutes:.3f}", "--pack", str(pack)]
        return self.python(str(SCRIPT), *arguments, "--", *self._options)

    def run(self) -> "subprocess.CompletedProcess[str]":
        return self.python("-m", "kdbench", "run", *self._options)

    def records(self) -> dict[str, tuple[Record, str]]:
        """Return what must be the same, by run: the record without times and commands, and its answers."""
        records = {folder: read_record(folder) for folder in find_records(self.results)}
        return {
            record.run_id: (timeless(record), read_answers(at, record).fingerprint) for at, record in records.items()
        }


def timeless(record: Record) -> Record:
    digests = record.digests.model_copy(update={"files": {}, "record": None})
    curves = tuple({name: value for name, value in epoch.items() if name != "seconds"} for epoch in record.curves)
    environment = record.environment.model_copy(update={"command": ""})
    times = {"timing": type(record.timing)(), "peak_memory_bytes": 0, "finished": ""}
    return record.model_copy(update={"digests": digests, "curves": curves, "environment": environment, **times})


@pytest.mark.slow
def test_a_board_of_two_machines_in_slices_is_that_of_an_unbroken_run(tmp_path: Path) -> None:
    unbroken = Machine(tmp_path / "unbroken")
    assert unbroken.run().returncode == 0
    machines, pack = [Machine(tmp_path / name) for name in ("first", "second")], tmp_path / "board.zip"
    minutes, slices, in_midst, merged = 0.01, 0, 0, 0
    while slices < MOST_SLICES:
        machine = machines[slices % 2]
        done = machine.slice(minutes, pack)
        slices, minutes = slices + 1, minutes + 0.25
        merged += "unfinished trainings are new" in done.stdout
        if done.returncode != 3:
            break
        assert "runs are done" in done.stdout
        assert "the same command goes on with them" in done.stdout
        in_midst += any((machine.results / SCRATCH).glob(f"*/{CHECKPOINT}"))
    assert done.returncode == 0, done.stderr
    assert slices >= 3
    assert in_midst
    assert merged == slices - 1
    assert machine.records() == unbroken.records()
    assert machine.slice(1.0, pack).returncode == 0


def test_the_script_hands_over_what_names_the_spec() -> None:
    assert arguments_of("--spec", ["--seeds", "0", "--spec", "mine.toml", "--yes"]) == ["--spec", "mine.toml"]
    assert arguments_of("--spec", ["--spec=mine.toml"]) == ["--spec=mine.toml"]
    assert arguments_of("--spec", ["--seeds", "0"]) == []


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "soon"])
def test_the_script_refuses_minutes_that_are_none(tmp_path: Path, minutes: str) -> None:
    refused = Machine(tmp_path).python(str(SCRIPT), f"--minutes={minutes}", "--pack", "board.zip")
    assert refused.returncode == 2
    assert "--minutes" in refused.stderr
    assert not (tmp_path / "runs").exists()


def test_the_script_ends_where_the_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "board.zip").write_text("no pack")
    refused = Machine(tmp_path).python(str(SCRIPT), "--minutes", "1", "--pack", "board.zip")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert (tmp_path / "board.zip").read_text() == "no pack"


def test_a_slice_that_ends_before_its_first_run_says_so_and_is_no_error(
    kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    command = ("run", "--methods", "lm", "--stop-after", "0.01", *SMALL)
    done = kdbench(*command, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert "the time is up: 0 of 5 runs are done, and 5 are left" in done.stdout.replace("\n", " ")
