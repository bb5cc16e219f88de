"""A place that cannot be written: the command says so and stops, and goes on once there is room."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.errors import WriteError
from kdbench.jobs.child import open_log
from kdbench.records import find_records, read_record

ROOM = 400_000  # bytes that a file may have: test arrays fit, a checkpoint does not
SMALL = ("--limit-train", "64", "--limit-test", "20", "--epochs", "1", "--methods", "independent")


def run(folder: Path, *, room: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command with a limit on the size of its files, which fails as a full disk does: in the midst of writing."""

    def limited() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    places = (
        "--out",
        str(folder / "runs"),
        "--site",
        str(folder / "site"),
        "--directions",
        "vit-to-cnn",
        "--no-mlflow",
    )
    return subprocess.run(
        [sys.executable, "-m", "kdbench", "run", *SMALL, *places],
        env={**os.environ, "KDBENCH_CACHE": str(folder / "cache")},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_a_run_whose_folder_cannot_be_made_is_not_blamed_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=f"{tmp_path / 'file' / 'run'}.*choose another folder"):
        open_log(tmp_path / "file" / "run")


@pytest.mark.slow
def test_a_full_disk_is_said_in_a_sentence_and_the_same_command_goes_on(tmp_path: Path) -> None:
    stopped = run(tmp_path, room=ROOM)
    assert stopped.returncode == 2
    assert len(stopped.stderr.strip().splitlines()) == 1
    assert "its disk is full" in stopped.stderr
    assert find_records(tmp_path / "runs") == []  # it is no result of any run
    assert not list(tmp_path.rglob(".*.pt.*"))  # nor is anything left that takes room
    finished = run(tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert {read_record(folder).status for folder in find_records(tmp_path / "runs")} == {"ok"}
