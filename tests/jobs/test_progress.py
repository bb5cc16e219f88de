"""A long build says where it is and how long it will take, also where there is no terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.jobs import progress
from kdbench.jobs.forecast import Forecast
from kdbench.jobs.job import Job
from kdbench.jobs.progress import RunProgress, TestSetProgress, roughly
from kdbench.plan.context import RunContext
from tests.planned_runs import expanded


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the progress is told; a test sets them."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def lines(console: Console) -> list[str]:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def test_a_log_gets_a_line_a_minute_with_the_time_left(clock: list[float]) -> None:
    console = Console(file=io.StringIO(), width=200)
    with TestSetProgress(console) as shown:
        for done, seconds in ((100, 0), (200, 30), (300, 60), (400, 90), (500, 120), (1000, 240)):
            clock[0] = seconds
            shown.advanced("texture", done, 1000)
    assert lines(console) == [
        "building test set texture: 1000 images",
        "test set texture: 300 of 1000 images, about 4 min left",  # 200 a minute, 700 to go
        "test set texture: 500 of 1000 images, about 2 min left",
    ]


def test_what_an_earlier_attempt_did_does_not_flatter_the_pace(clock: list[float]) -> None:
    console = Console(file=io.StringIO(), width=200)
    with TestSetProgress(console) as shown:
        for done, seconds in ((900, 0), (910, 60)):
            clock[0] = seconds
            shown.advanced("texture", done, 1000)
    assert lines(console)[-1] == "test set texture: 910 of 1000 images, about 9 min left"


def test_the_evaluation_of_a_run_that_was_trained_before_is_all_of_it(tmp_path: Path) -> None:
    trained_before, trained_here = expanded()[:2]
    forecast = Forecast([trained_before, trained_here], 1, costs={trained_before.run_id: 1.0, trained_here.run_id: 1.0})
    context = RunContext(tmp_path, tmp_path / "cache")
    with RunProgress(Console(file=io.StringIO()), forecast) as shown:
        for kind, run in (("train", trained_here), ("evaluate", trained_here), ("evaluate", trained_before)):
            job = Job(kind, run, context)  # type: ignore[arg-type]
            shown.started(job)
            shown.advanced(job, 1, 2)
    assert forecast.share == pytest.approx((progress.TRAINING_SHARE + (1 - progress.TRAINING_SHARE) / 2 + 0.5) / 2)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "10 s"), (44, "40 s"), (95, "2 min"), (3000, "50 min"), (9000, "2.5 h")]
)
def test_times_are_said_roughly(seconds: float, words: str) -> None:
    assert roughly(seconds) == words
