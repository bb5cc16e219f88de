"""The whole command killed at once loses nothing: the same command goes on and ends with the same weights."""

import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kdbench.records import find_records, read_record

KILLS = 3
SMALL = ("--limit-train", "64", "--limit-test", "20", "--epochs", "2", "--directions", "vit-to-cnn", "--methods", "lm")


def command(results: Path) -> list[str]:
    places = ("--out", str(results), "--site", str(results / "site"))
    return [sys.executable, "-m", "kdbench", "run", *SMALL, *places, "--no-mlflow"]


def digests(results: Path) -> dict[str, str | None]:
    records = [read_record(folder) for folder in find_records(results)]
    assert all(record.status == "ok" for record in records)
    return {record.run_id: record.digests.weights for record in records}


def test_killing_the_command_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    started = time.monotonic()
    subprocess.run(command(tmp_path / "unbroken"), check=True, stdout=subprocess.DEVNULL, timeout=300)
    whole = time.monotonic() - started
    moments = random.Random(0)
    for _ in range(KILLS):
        process = subprocess.Popen(command(tmp_path / "broken"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.2, 0.8) * whole)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert not psutil.wait_procs(family, timeout=20)[1], "a child survived the command"
    subprocess.run(command(tmp_path / "broken"), check=True, stdout=subprocess.DEVNULL, timeout=300)
    assert digests(tmp_path / "broken") == digests(tmp_path / "unbroken")
    again = subprocess.run(command(tmp_path / "broken"), check=True, capture_output=True, text=True, timeout=300)
    assert "0 to run" in again.stdout
    assert (tmp_path / "broken" / "site" / "index.html").exists()


def test_the_number_of_workers_changes_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    for workers in ("1", "3"):
        subprocess.run(
            [*command(tmp_path / workers), "--workers", workers], check=True, stdout=subprocess.DEVNULL, timeout=300
        )
    assert digests(tmp_path / "1") == digests(tmp_path / "3")
