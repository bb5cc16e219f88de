"""The time left, against invocations whose true duration is known."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from kdbench.jobs.forecast import PHASES, Forecast, Work, earlier_seconds, kind_of, roughly, shared_out
from kdbench.jobs.job import Job, Places
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Budget, Record, Timing
from tests.examples import a_record, store
from tests.planned_runs import plan, submission

STEPS = 100
NOWHERE = Places(Path("folder"), None, {}, Path("cache"))


def seconds_of(run: PlannedRun, *, slowness: float = 1.0) -> dict[str, float]:
    """True seconds of a run's two phases: ViTs twice as long, with a teacher half as much again, sskd four times."""
    training = {"cnn": 10.0, "vit": 20.0}[run.family] * (1.5 if run.teacher else 1.0)
    training *= 4.0 if run.submission.name == "sskd" else 1.0
    return {"train": slowness * training, "evaluate": slowness * 2.0}


class Play:
    """Plays a plan in pretended time on one worker or several, one phase after the other, and follows the forecast."""

    def __init__(self, runs: Sequence[PlannedRun], workers: int = 1, earlier: dict[Work, float] | None = None) -> None:
        self.now = 0.0
        self.forecast = Forecast(runs, workers, earlier or {}, clock=lambda: self.now)

    def phase(self, run: PlannedRun, phase: str, *, share: float = 1.0, slowness: float = 1.0, first: int = 0) -> None:
        """Plays `share` of one phase; a resumed one starts at step `first`."""
        job = Job(phase, run, NOWHERE)  # type: ignore[arg-type]
        self.forecast.started(job)
        for done in range(first + 1, round(STEPS * share) + 1):
            self.now += seconds_of(run, slowness=slowness)[phase] / STEPS
            self.forecast.advanced(job, done, STEPS)

    def whole(self, run: PlannedRun) -> None:
        for phase in PHASES:
            self.phase(run, phase)
        self.forecast.finished(run)

    def left(self) -> float:
        left = self.forecast.left()
        assert left is not None
        return left


def whole_seconds(runs: Sequence[PlannedRun]) -> float:
    return sum(sum(seconds_of(run).values()) for run in runs)


def known(runs: Sequence[PlannedRun], *, slowness: float = 1.0) -> dict[Work, float]:
    return {(kind_of(run), phase): seconds_of(run, slowness=slowness)[phase] for run in runs for phase in PHASES}


def test_nothing_is_said_while_nothing_is_known() -> None:
    assert Forecast(plan(), 2, {}).left() is None


def test_a_tenth_of_the_first_run_tells_its_length_and_roughly_all_others() -> None:
    runs = plan()
    play = Play(runs)
    play.phase(runs[0], "train", share=0.1)
    assert play.left() == pytest.approx(whole_seconds(runs) - play.now, rel=0.35)


def test_runs_that_were_seen_once_are_told_exactly() -> None:
    runs = plan(seeds=(0, 1))
    play = Play(runs)
    for run in runs[:10]:
        play.whole(run)
    assert {kind_of(run) for run in runs[:10]} == {kind_of(run) for run in runs}
    assert play.left() == pytest.approx(whole_seconds(runs[10:]))


def test_a_costly_method_that_is_running_is_believed_by_its_own_steps() -> None:
    lm, sskd = submission("lm"), submission("sskd")
    runs = [run for run in plan(lm, sskd, directions=("cnn-to-vit",)) if run.role == "student"]
    cheap, costly = ([run for run in runs if run.submission.name == name] for name in ("lm", "sskd"))
    play = Play(runs)
    for run in cheap:
        play.whole(run)
    play.phase(costly[0], "train", share=0.2)
    begun = 0.2 * seconds_of(costly[0])["train"]
    assert play.left() == pytest.approx(whole_seconds(costly) - begun, rel=0.01)


def test_earlier_records_tell_before_anything_has_run() -> None:
    runs = plan()
    assert Play(runs, earlier=known(runs)).left() == pytest.approx(whole_seconds(runs))


def test_a_total_that_was_counted_tells_as_much_and_is_corrected_by_the_first_run() -> None:
    runs = plan()
    play = Play(runs, earlier=shared_out(whole_seconds(runs) / 3, runs))
    assert play.left() == pytest.approx(whole_seconds(runs) / 3)
    play.phase(runs[0], "train", share=0.1)
    assert play.left() == pytest.approx(whole_seconds(runs) - play.now, rel=0.35)


def test_a_slower_machine_than_before_corrects_what_earlier_records_say() -> None:
    runs = plan()
    play = Play(runs, earlier=known(runs))
    play.phase(runs[0], "train", slowness=2.0, share=0.5)
    assert play.left() == pytest.approx(2 * whole_seconds(runs) - play.now, rel=0.01)


def test_workers_share_the_work_and_students_wait_for_their_teacher() -> None:
    runs = plan(submission("lm"), directions=("cnn-to-vit",))
    teachers, students = runs[:2], runs[2:]
    both = Play(runs, workers=2, earlier=known(runs))
    a_teacher, a_student = (sum(seconds_of(one).values()) for one in (teachers[0], students[0]))
    assert both.left() == pytest.approx(a_teacher + a_student)
    many = Play(runs, workers=8, earlier=known(runs))
    assert many.left() == pytest.approx(a_teacher + a_student)


def test_a_resumed_run_does_not_pass_for_a_quick_one() -> None:
    runs = [run for run in plan(seeds=(0, 1)) if kind_of(run) == ("cnn", None, "teacher")]
    play = Play(runs)
    play.phase(runs[0], "train", first=80)
    play.phase(runs[0], "evaluate")
    play.forecast.finished(runs[0])
    assert play.left() == pytest.approx(whole_seconds(runs[1:]), rel=0.01)


def test_time_passes_between_two_reports() -> None:
    runs = plan()
    play = Play(runs)
    play.phase(runs[0], "train", share=0.5)
    before = play.left()
    play.now += 1.5
    assert play.left() == pytest.approx(before - 1.5)


def earlier_record(run_id: str, **changes: object) -> Record:
    values = {"timing": Timing(training=30.0, evaluation=2.0), "budget": Budget(examples=9000)}
    return a_record(run_id=run_id, **(values | changes))


def test_earlier_records_of_the_same_track_and_device_class_count_by_kind(tmp_path: Path) -> None:
    runs = plan()
    other = a_record().environment.model_copy(update={"device_class": "cuda-bfloat16"})
    slow = Timing(training=3000.0, evaluation=200.0)
    store(tmp_path, earlier_record("one"))
    store(tmp_path, earlier_record("gpu", environment=other, timing=slow))
    store(tmp_path, earlier_record("failed", status="timeout", timing=slow))
    store(tmp_path, earlier_record("elsewhere", track="cifar10-32", timing=slow))
    (store(tmp_path, earlier_record("damaged")) / "result.json").write_text("{")
    lm = ("vit", "cnn", "lm")
    assert earlier_seconds(tmp_path, runs) == pytest.approx({(lm, "train"): 30.0, (lm, "evaluate"): 2.0})


def test_earlier_records_of_less_training_are_scaled_to_the_images(tmp_path: Path) -> None:
    store(tmp_path, earlier_record("short", budget=Budget(examples=3000), timing=Timing(training=10.0, evaluation=2.0)))
    assert earlier_seconds(tmp_path, plan())[("vit", "cnn", "lm"), "train"] == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "10 s"), (44, "40 s"), (95, "2 min"), (3000, "50 min"), (9000, "2.5 h")]
)
def test_times_are_said_roughly(seconds: float, words: str) -> None:
    assert roughly(seconds) == words
