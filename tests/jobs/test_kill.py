"""The whole command killed at once loses nothing: the same command goes on and ends with the same weights."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kdbench.records import RESULT, find_records, read_record
from kdbench.training.checkpoints import CHECKPOINT

SMALL = ("--limit-train", "64", "--limit-test", "20", "--epochs", "4", "--directions", "vit-to-cnn", "--methods", "lm")
TEACHERS, RUNS = 2, 5
PATIENCE = 900  # seconds; nothing is timed here, so that a busy machine only takes longer
POLL_SECONDS = 0.005


class Place:
    """A results folder with a cache of its own, and the command that fills it."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.results, self.cache = folder / "runs", folder / "cache"
        places = ("--out", str(self.results), "--site", str(folder / "site"), "--workers", str(workers))
        self.command = [sys.executable, "-m", "kdbench", "run", *SMALL, *places, "--no-mlflow"]
        self.environment = {**os.environ, "KDBENCH_CACHE": str(self.cache)}

    def run(self) -> str:
        """Runs the command to its end; returns what it says."""
        done = subprocess.run(
            self.command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def survivors_when_killed(self, seen: Callable[[], bool]) -> list[psutil.Process]:
        """Start the command, kill it once something is seen on the disk, and return its processes that live on."""
        process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while not seen():
            assert process.poll() is None, "the command ended before it was to be killed"
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        return list(psutil.wait_procs(family, timeout=PATIENCE)[1])

    def some(self, name: str) -> int:
        """How many files of a name there are."""
        return sum(1 for _ in self.results.glob(f"*/*/{name}"))

    def weights(self) -> dict[str, str | None]:
        """Digest of the weights of every run, all of which went well."""
        records = [read_record(folder) for folder in find_records(self.results)]
        assert all(record.status == "ok" for record in records)
        return {record.run_id: record.digests.weights for record in records}


@pytest.mark.slow
def test_killing_the_command_changes_no_weight_and_nor_does_the_number_of_workers(tmp_path: Path) -> None:
    unbroken, broken = Place(tmp_path / "unbroken", workers=1), Place(tmp_path / "broken", workers=3)
    unbroken.run()
    assert not broken.survivors_when_killed(
        lambda: any(broken.cache.rglob("manifest.json"))
    )  # test sets are being built
    assert not broken.some(RESULT)
    assert not broken.survivors_when_killed(lambda: broken.some(CHECKPOINT) > 0)  # a teacher has been trained in part
    # A student has begun.
    assert not broken.survivors_when_killed(lambda: broken.some(RESULT) > 0 and broken.some("log.txt") > TEACHERS)
    kept = broken.some(RESULT)
    assert f"{kept} done already, {RUNS - kept} to run" in broken.run()
    assert broken.weights() == unbroken.weights()
    assert f"{RUNS} done already, 0 to run" in broken.run()


SLEEPER = """
import time
from dataclasses import dataclass
from pathlib import Path
from kdbench.api import BOTH, Method

class Sleeper(Method):
    name, paper, summary, directions, uses_teacher = "sleeper", "", "sleeps for an hour", BOTH, False
    images = "the student sees no images"
    @dataclass(frozen=True)
    class Config:
        pass
    def step(self, run, batch):
        Path(__file__).with_name("asleep").touch()
        time.sleep(3600)
"""


@pytest.mark.slow
def test_a_job_in_the_midst_of_a_long_step_dies_with_its_command(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    place = Place(tmp_path, workers=1)
    place.command += ["--methods", str(tmp_path / "sleeper.py")]
    assert not place.survivors_when_killed(lambda: any(place.results.rglob("asleep")))


def is_fork_server(process: psutil.Process) -> bool:
    try:
        return any("forkserver" in argument for argument in process.cmdline())
    except psutil.Error:  # it has ended
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("interrupts_are_heard")
def test_an_interruption_while_libraries_are_imported_is_said_without_a_traceback(tmp_path: Path) -> None:
    place = Place(tmp_path, workers=1)
    process = subprocess.Popen(
        place.command, env=place.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE
    while not any(map(is_fork_server, psutil.Process(process.pid).children())):
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)
    time.sleep(0.5)  # by now it imports PyTorch, which takes seconds
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode not in (0, 1)
    assert "Traceback" not in messages
