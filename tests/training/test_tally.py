"""A training that fails says what it had counted by then, and so does one that was killed, of its last checkpoint."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Output, Run
from kdbench.data.training_sets import TrainingSet
from kdbench.errors import MOST_REASON
from kdbench.jobs.intake import counted
from kdbench.training import loop
from kdbench.training.loop import train
from kdbench.training.outcome import Tally, TrainingOutcome, read_outcome, timing_of, write_outcome
from kdbench.training.teacher import Supervised
from tests.planned_runs import expanded
from tests.training.small_runs import BATCH, EPOCHS, IMAGES, Make

PER_EPOCH = IMAGES // BATCH


def silent(done: int, total: int) -> None:
    pass


class Failing(Supervised):
    """Goes well for one epoch and a step, then raises `error`."""

    error: Exception

    def __init__(self, task, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(task, config)
        self.calls = 0

    def step(self, run: Run, batch: Batch) -> None:
        self.calls += 1
        if self.calls > PER_EPOCH + 1:
            raise self.error
        super().step(run, batch)


class Crashing(Failing):
    error = ValueError("no such thing")


class OutOfMemory(Failing):
    error = MemoryError("1 GiB")


class Overdrawing(Failing):
    """Updates twice in the second step of the second epoch."""

    def step(self, run: Run, batch: Batch) -> None:
        if self.calls == PER_EPOCH:
            Supervised.step(self, run, batch)
        super().step(run, batch)


class Diverging(Supervised):
    """A loss that is infinite from the second epoch on."""

    def __init__(self, task, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(task, config)
        self.calls = 0

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        self.calls += 1
        loss = F.cross_entropy(student.logits, batch.labels)
        return loss * (float("inf") if self.calls > PER_EPOCH else 1.0)


def assert_one_epoch_was_kept(outcome: TrainingOutcome) -> None:
    """All that a record shows of an epoch is there."""
    assert len(outcome.curves) == 1
    assert outcome.curves[0]["loss"] > 0
    assert outcome.timing.training >= sum(outcome.timing.epochs) > 0
    assert outcome.timing.student is not None
    assert outcome.timing.student > 0
    assert outcome.peak_memory_bytes > 0
    assert outcome.parameters > 0
    assert outcome.weights is None


@pytest.mark.parametrize(
    ("method", "status", "steps", "examples"),
    [
        (OutOfMemory, "oom", PER_EPOCH + 1, (PER_EPOCH + 2) * BATCH),
        (Overdrawing, "over_budget", PER_EPOCH + 2, (PER_EPOCH + 1) * BATCH),
        (Diverging, "diverged", EPOCHS * PER_EPOCH, EPOCHS * PER_EPOCH * BATCH),
    ],
)
def test_a_failed_training_says_what_it_had_counted(
    make: Make, data: TrainingSet, method: type[Supervised], status: str, steps: int, examples: int
) -> None:
    assignment = make(method)
    outcome = train(assignment, data, silent)
    assert outcome.status == status
    assert (outcome.budget.steps, outcome.budget.examples) == (steps, examples)
    assert_one_epoch_was_kept(outcome)
    assert read_outcome(assignment.folder) == outcome


def test_an_error_of_a_method_leaves_what_was_counted_in_the_tally(make: Make, data: TrainingSet) -> None:
    tally = Tally()
    with pytest.raises(ValueError, match="no such thing"):
        train(make(Crashing), data, silent, tally)
    outcome = tally.failed("error", "no such thing")
    assert (outcome.status, outcome.reason) == ("error", "no such thing")
    assert outcome.budget.steps == PER_EPOCH + 1
    assert_one_epoch_was_kept(outcome)


def test_an_epoch_that_diverged_is_timed_once(make: Make, data: TrainingSet) -> None:
    timing = train(make(Diverging), data, silent).timing
    assert len(timing.epochs) == EPOCHS
    assert timing.training == pytest.approx(timing.prepare + sum(timing.epochs))


class DrawsTooMuch(Supervised):
    def prepare(self, run: Run) -> None:
        for batch in run.batches(PER_EPOCH + 1):
            run.student_forward(batch.images)


def test_a_stage_before_training_that_fails_is_counted(make: Make, data: TrainingSet) -> None:
    outcome = train(make(DrawsTooMuch), data, silent)
    assert outcome.status == "over_budget"
    assert outcome.budget.prepare_examples > IMAGES
    assert outcome.timing.training == outcome.timing.prepare > 0


class HoldsTheStudent(Supervised):
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        raise MemoryError("before the first step")


def test_what_fails_before_it_begins_has_counted_nothing(make: Make, data: TrainingSet) -> None:
    outcome = train(make(HoldsTheStudent), data, silent)
    assert outcome == TrainingOutcome(status="oom", reason="memory ran out: before the first step")


class Killed(BaseException):
    pass


def killed_after(steps: int, make: Make, data: TrainingSet) -> Tally:
    def kill(done: int, total: int) -> None:
        if done == steps:
            raise Killed

    assignment = make()
    with pytest.raises(Killed):
        train(assignment, data, kill)
    return counted(assignment.folder, expanded()[0])


def test_a_killed_training_had_counted_what_its_last_checkpoint_says(make: Make, data: TrainingSet) -> None:
    outcome = killed_after(PER_EPOCH + 1, make, data).failed("timeout", "took more than 5 seconds")
    assert re.match("took more", outcome.reason)
    assert outcome.budget.steps == PER_EPOCH
    assert_one_epoch_was_kept(outcome)


def test_a_checkpoint_within_an_epoch_tells_the_seconds_of_that_epoch(
    make: Make, data: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SPACING", 0)
    outcome = killed_after(2, make, data).failed("timeout", "")
    assert outcome.budget.steps == 1
    assert outcome.timing.epochs == ()
    assert outcome.timing.training > 0


def test_a_training_without_a_checkpoint_has_no_tally(make: Make, data: TrainingSet) -> None:
    assert killed_after(1, make, data) == Tally()


def test_the_time_of_a_training_is_that_of_its_parts_and_of_the_method() -> None:
    timing = timing_of({"data": 1.0, "teacher": 2.0, "student": 3.0, "prepare": 0.5}, [4.0, 5.0], under_way=0.25)
    assert (timing.training, timing.method, timing.epochs) == (9.75, 3.75, (4.0, 5.0))


def test_a_reason_is_cut_and_can_be_written_whatever_it_says(tmp_path: Path) -> None:
    outcome = Tally().failed("oom", "memory ran out: a\ud800b" + "x" * 10**7)
    write_outcome(tmp_path, outcome)
    assert read_outcome(tmp_path) == outcome
    assert outcome.reason.startswith("memory ran out: ab")
    assert len(outcome.reason) <= MOST_REASON + 3
