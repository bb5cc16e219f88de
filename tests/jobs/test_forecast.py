"""The time left, against invocations whose true duration is known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.jobs import cpu_time
from kdbench.jobs.forecast import Forecast, Rate, rate_of, remaining_cost
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import WEIGHTS, Budget, Record, SetResult, Timing, write_record
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.spec import load_spec
from tests.examples import a_record, store
from tests.planned_runs import expanded

SECONDS_PER_COST = 3.0


class Play:
    """Plays runs in pretended time, `workers` at a time, and follows the forecast."""

    def __init__(self, runs: Sequence[PlannedRun], workers: int = 1, rate: Rate | None = None) -> None:
        self.now = 0.0
        self.forecast = Forecast(runs, workers, rate, clock=lambda: self.now)
        self._workers = workers

    def part(self, run: PlannedRun, *, first: float = 0.0, last: float = 1.0) -> None:
        """Play a run from one share of it to another."""
        for step in range(101):
            self.forecast.advanced(run, first + (last - first) * step / 100)
            self.now += SECONDS_PER_COST * run.cost * (last - first) / 101 / self._workers

    def left(self) -> float:
        left = self.forecast.left()
        assert left is not None
        return left


def seconds(runs: Sequence[PlannedRun]) -> float:
    return SECONDS_PER_COST * sum(run.cost for run in runs)


def test_nothing_is_said_while_nothing_is_known() -> None:
    assert Forecast(expanded(), 2).left() is None


def test_a_rate_tells_before_anything_has_run() -> None:
    runs = expanded()
    rate = Rate(SECONDS_PER_COST, "earlier runs")
    assert Play(runs, rate=rate).left() == pytest.approx(seconds(runs))
    assert Play(runs, workers=2, rate=rate).left() == pytest.approx(seconds(runs) / 2)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("rate", [None, Rate(SECONDS_PER_COST / 5, "the speed of this CPU")], ids=["no rate", "a rate"])
def test_the_first_runs_tell_the_length_of_all_others(workers: int, rate: Rate | None) -> None:
    runs = expanded()
    play = Play(runs, workers, rate)
    play.part(runs[0])
    assert play.left() == pytest.approx(seconds(runs[1:]) / workers, rel=0.05)


def test_a_resumed_run_does_not_pass_for_a_quick_one() -> None:
    runs = expanded()
    play = Play(runs)
    play.part(runs[0], first=0.6)
    assert play.left() == pytest.approx(seconds(runs[1:]), rel=0.05)


def test_time_passes_between_two_reports_of_a_slow_run() -> None:
    runs = expanded()
    play = Play(runs)
    play.part(runs[0])
    before = play.left()
    play.now *= 2
    assert play.left() == pytest.approx(2 * before)


def test_the_share_of_the_work_ends_at_one() -> None:
    runs = expanded()
    forecast = Forecast(runs, 1)
    assert forecast.share == 0
    for run in runs:
        forecast.advanced(run, 1.0)
    assert forecast.share == pytest.approx(1)
    assert Forecast([], 1).share == 0


def earlier_record(run_id: str, **changes: object) -> Record:
    primary = evaluated_sets(load_spec().track("synthetic"), diagnostics=False)
    test = {entry.name: SetResult(images=entry.images, macro_accuracy=0.5) for entry in primary}
    values = {"timing": Timing(training=30.0, evaluation=2.0), "budget": Budget(examples=9000), "test": test}
    return a_record(run_id=run_id, **(values | changes))


def test_earlier_records_of_the_same_track_and_device_class_set_the_rate(tmp_path: Path) -> None:
    gpu = a_record().environment.model_copy(update={"device_class": "cuda-bfloat16"})
    slow = Timing(training=3000.0, evaluation=200.0)
    store(tmp_path, earlier_record("one"))
    store(tmp_path, earlier_record("gpu", environment=gpu, timing=slow))
    store(tmp_path, earlier_record("failed", status="timeout", timing=slow))
    store(tmp_path, earlier_record("elsewhere", track="cifar10-32", timing=slow))
    (store(tmp_path, earlier_record("damaged")) / "result.json").write_text("{")
    runs = expanded()
    lm = next(run for run in runs if run.submission.name == "lm" and run.direction == "cnn-to-vit")
    rate = rate_of(runs, RunContext(tmp_path, tmp_path / "cache"))
    assert rate is not None
    assert rate.source == "earlier runs"
    assert rate.seconds * lm.cost == pytest.approx(32.0)


def test_earlier_runs_that_saw_each_image_often_do_not_slow_the_rate(tmp_path: Path) -> None:
    seen_once, seen_often = (Budget(examples=9000, student_forward_images=9000 * views) for views in (1, 4))
    rates = []
    for name, budget in {"once": seen_once, "often": seen_often}.items():
        store(tmp_path / name, earlier_record("lm", budget=budget))
        rates.append(rate_of(expanded(), RunContext(tmp_path / name, tmp_path / "cache")))
    assert rates[0] is not None
    assert rates[1] is not None
    assert rates[1].seconds < rates[0].seconds / 2


def test_a_first_run_on_a_cpu_is_told_by_its_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_time, "operations_per_second", lambda track: 5e10)
    runs = expanded()
    rate = rate_of(runs, RunContext(tmp_path, tmp_path / "cache"))
    assert rate is not None
    assert rate.source == "the speed of this CPU"
    assert rate.seconds * sum(run.cost for run in runs) == pytest.approx(cpu_time.run_seconds(runs, diagnostics=False))


def test_a_trained_run_costs_its_evaluation_alone(tmp_path: Path) -> None:
    run = expanded()[0]
    plain, full = (RunContext(tmp_path, tmp_path / "cache", diagnostics=wanted) for wanted in (False, True))
    before = remaining_cost(run, plain)
    assert before == run.cost
    more = remaining_cost(run, full) - before
    write_record(plain.folder(run), earlier_record(run.run_id), {})
    (plain.folder(run) / WEIGHTS).touch()
    after = remaining_cost(run, plain)
    assert 0 < after < before / 2
    assert remaining_cost(run, full) == pytest.approx(after + more)
    assert more > 4 * after  # 13 sets of 1,000 images, and 32,000 occluded ones, beside 9 primary sets


def test_costs_that_are_given_decide_the_share(tmp_path: Path) -> None:
    first, second = expanded()[:2]
    forecast = Forecast([first, second], 1, costs={first.run_id: 1.0, second.run_id: 3.0})
    forecast.advanced(first, 1.0)
    assert forecast.share == 0.25


def test_nothing_is_told_of_a_first_run_on_a_gpu_nor_of_no_runs(tmp_path: Path) -> None:
    context = RunContext(tmp_path, tmp_path / "cache")
    assert rate_of([replace(run, device="cuda") for run in expanded()], context) is None
    assert rate_of([], context) is None
