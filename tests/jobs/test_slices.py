"""An invocation whose time is up starts nothing more, ends what runs, and leaves no false record."""

from pathlib import Path
from time import monotonic

import pytest

from kdbench.jobs import executor
from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.invocation import Progressed
from kdbench.jobs.job import STOPPED
from kdbench.plan.context import RunContext
from kdbench.records import Record, find_records
from tests.examples import a_record
from tests.jobs.pretend_launcher import PretendHandle, PretendLauncher, Silent
from tests.planned_runs import expanded

SLICE = 0.3  # seconds


def execute(
    launcher: PretendLauncher, results: Path, monkeypatch: pytest.MonkeyPatch, *, slow: str = "", seconds: float = 0.0
) -> list[Record]:
    """Execute in a slice on one slot, where jobs of the kind `slow` end `seconds` after the slice."""
    stop_at = monotonic() + SLICE
    monkeypatch.setattr(
        PretendHandle,
        "poll",
        lambda handle: None if handle.job.kind == slow and monotonic() < stop_at + seconds else handle._code,
    )
    context = RunContext(results, results / "cache", stop_at=stop_at)
    return LocalExecutor(launcher, 1).execute(expanded(), context, Silent())


def test_a_time_is_up_at_its_reading_and_not_before(tmp_path: Path) -> None:
    assert not RunContext(tmp_path, tmp_path).is_time_up()
    assert RunContext(tmp_path, tmp_path, stop_at=monotonic()).is_time_up()
    assert not RunContext(tmp_path, tmp_path, stop_at=monotonic()).is_time_up(for_seconds=60)
    assert not RunContext(tmp_path, tmp_path, stop_at=monotonic() + 60).is_time_up()


def test_an_evaluation_under_way_ends_and_no_other_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = PretendLauncher()
    assert len(execute(launcher, tmp_path, monkeypatch, slow="evaluate", seconds=0.1)) == 1
    assert [job.kind for job in launcher.jobs] == ["train", "evaluate"]


def test_a_job_that_does_not_end_in_its_grace_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "GRACE_SECONDS", 0.2)
    launcher = PretendLauncher()
    assert execute(launcher, tmp_path, monkeypatch, slow="train", seconds=3600) == []
    assert [handle.killed for handle in launcher.handles] == [True]
    assert find_records(tmp_path) == []


@pytest.mark.parametrize("code", [0, STOPPED])
def test_a_training_that_ends_when_the_time_is_up_waits_for_the_next_command(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = PretendLauncher(codes={"teacher": code})
    assert execute(launcher, tmp_path, monkeypatch, slow="train", seconds=0.1) == []
    assert [(handle.job.kind, handle.killed) for handle in launcher.handles] == [("train", False)]
    assert find_records(tmp_path) == []


def test_a_training_that_dies_when_the_time_is_up_is_a_failed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = PretendLauncher(codes={"teacher": -11})
    (record,) = execute(launcher, tmp_path, monkeypatch, slow="train", seconds=0.1)
    assert (record.status, record.reason) == ("error", "the training process ended by signal 11")


def test_a_training_that_claims_to_be_stopped_before_the_time_is_an_error(tmp_path: Path) -> None:
    launcher = PretendLauncher(codes={"lm": STOPPED})
    context = RunContext(tmp_path, tmp_path / "cache", stop_at=monotonic() + 600)
    records = LocalExecutor(launcher, 2).execute(expanded(), context, Silent())
    assert {record.status for record in records if record.method == "lm"} == {"error"}


def test_the_sentence_at_the_end_counts_what_is_done_and_what_is_left() -> None:
    failed = a_record(status="oom", reason="took too much", test={})
    progressed = Progressed((a_record(), failed), left=5, seconds_left=600.0, workers=2)
    assert str(progressed) == (
        "the time is up: 2 of 7 runs are done, 1 of which failed, and 5 are left (about 10 min, 2 at a time); the same "
        "command goes on with them"
    )
    assert "5 are left; the" in str(Progressed((a_record(), failed), left=5))
