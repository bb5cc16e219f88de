"""Mirroring from the command line: order, progress and failures of MLflow."""

import socket
from pathlib import Path
from time import monotonic

import pytest

from kdbench.cli import tracking
from kdbench.jobs import invocation
from kdbench.jobs.invocation import Progressed
from tests.command_line import Command
from tests.record_factory import write_matrix


def test_a_run_has_its_page_and_ends_well_whatever_mlflow_does(
    tmp_path: Path, kdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, site = tmp_path / "runs", tmp_path / "site"
    write_matrix(results, directions=("cnn-to-vit",))
    monkeypatch.setattr(invocation, "run", lambda *arguments: Progressed(()))  # all runs have a record
    rendered: list[float] = []
    mirror_records = tracking.mirror_records

    def timed(*arguments: object, **more: object) -> str:
        assert (site / "index.html").exists()
        rendered.append(monotonic())
        warning = mirror_records(*arguments, **more)  # type: ignore[arg-type]
        rendered.append(monotonic())
        return warning

    monkeypatch.setattr("kdbench.cli.run.mirror_records", timed)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        done = kdbench("run", "--out", str(results), "--site", str(site))
    assert done.returncode == 0
    assert "did not answer within 1 s" in done.stderr
    assert f"no record is lost: mirror later with `kdbench track {results}`" in done.stderr
    assert rendered[1] - rendered[0] < 3


def test_progress_is_printed_every_few_seconds_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 2))  # two seconds per run
    monkeypatch.setattr(tracking, "monotonic", lambda: float(next(clock)))
    with tracking._mirror_bar() as report:
        for done in range(1, 11):
            report(done, 10)
    assert capsys.readouterr().out.splitlines() == [
        "mirroring records into MLflow: 3 of 10, about 14 s left",
        "mirroring records into MLflow: 6 of 10, about 8 s left",
        "mirroring records into MLflow: 9 of 10, about 2 s left",
    ]


def test_a_mirror_that_takes_a_moment_prints_no_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "monotonic", lambda: 0.0)
    with tracking._mirror_bar() as report:
        for done in range(1, 11):
            report(done, 10)
    assert capsys.readouterr().out == ""
