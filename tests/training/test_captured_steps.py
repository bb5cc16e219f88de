"""Captured steps train as eager ones do, bit for bit on the CPU's stand-in; what cannot be captured says why."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Run
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.methods.loading import load_submission
from kdbench.records import WEIGHTS
from kdbench.training import loop, metered
from kdbench.training.capture import steps
from kdbench.training.capture.steps import EagerSteps
from kdbench.training.loop import train
from kdbench.training.outcome import TrainingOutcome
from kdbench.training.teacher import Supervised
from tests.training.example_methods import EXAMPLES
from tests.training.small_runs import assignment_in, small_track
from tests.training.stand_in_engine import Recorder, StandInEngine

pytestmark = pytest.mark.slow

PER_EPOCH, BATCH = 8, 4
TRACK = small_track().model_copy(
    update={
        "training": small_track().training.model_copy(update={"batch_size": BATCH}),
        "data": small_track().data.model_copy(update={"num_train": PER_EPOCH * BATCH}),
    }
)
AT_FIRST = steps.WARM_UP + 3  # eager steps before the first repetition that counts


@pytest.fixture(scope="module")
def images() -> TrainingSet:
    return training_set(TRACK, role="student", bias=None, seed=0, source=None)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StandInEngine:
    """Captures the steps of the test, however few they are."""
    stand_in = StandInEngine()
    monkeypatch.setattr(metered, "engine_for", lambda device: stand_in)
    monkeypatch.setattr(steps, "LEAST_REPETITIONS", 1)
    return stand_in


@pytest.fixture
def both(
    engine: StandInEngine, images: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TrainingOutcome]:
    """Trains a method eagerly and with captures, compares all that comes of it, and returns the second outcome."""

    def compare(method: type[Method], **options: Any) -> TrainingOutcome:
        eager = assignment_in(tmp_path, TRACK, method, place="eager", **options)
        with monkeypatch.context() as patch:
            patch.setattr(loop, "make_steps", EagerSteps)
            expected = train(eager, images, lambda *_: None)
        captured = assignment_in(tmp_path, TRACK, method, place="captured", **options)
        outcome = train(captured, images, lambda *_: None)
        assert (outcome.status, outcome.reason) == (expected.status, expected.reason) == ("ok", "")
        assert outcome.weights == expected.weights
        assert outcome.budget == expected.budget
        assert list(map(untimed, outcome.curves)) == list(map(untimed, expected.curves))
        return outcome

    return compare


def untimed(epoch: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in epoch.items() if name != "seconds"]


@pytest.fixture(scope="module")
def teacher(images: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assignment = assignment_in(tmp_path_factory.mktemp("teacher"), TRACK)
    train(assignment, images, lambda *_: None)
    return assignment.folder / WEIGHTS


def test_a_captured_run_equals_the_eager_run(
    both: Callable[..., TrainingOutcome], engine: StandInEngine, teacher: Path
) -> None:
    outcome = both(load_submission("lm"), teacher=teacher)
    assert outcome.execution == "captured"
    repetitions = 2 * PER_EPOCH - AT_FIRST - 1  # the first step of the second epoch is eager
    assert engine.calls == ["rehearse", "capture", "repeat"] + ["repeat"] * repetitions
    timing = outcome.timing
    assert (timing.teacher, timing.student, timing.method) == (None, None, None)
    assert timing.training >= sum(timing.epochs) > timing.data > 0


@pytest.mark.parametrize("method", EXAMPLES)
def test_peers_averages_classifiers_and_mixed_images_are_captured(
    both: Callable[..., TrainingOutcome], engine: StandInEngine, teacher: Path, method: type[Method]
) -> None:
    outcome = both(method, teacher=teacher if method.uses_teacher else None)
    assert outcome.execution == "captured"
    assert engine.calls.count("repeat") > 1


def test_a_method_that_uses_the_epoch_is_captured_anew_in_each(
    both: Callable[..., TrainingOutcome], engine: StandInEngine
) -> None:
    class ByEpoch(Supervised):
        def step(self, run: Run, batch: Batch) -> None:
            logits = run.student_forward(batch.images).logits
            run.log(epoch=run.epoch)
            run.backward_and_step(F.cross_entropy(logits, batch.labels) / (1 + run.epoch))

    assert both(ByEpoch).execution == "captured"
    assert engine.calls.count("capture") == 2
    assert engine.calls.count("rehearse") == 1


def test_a_comparison_of_the_progress_is_captured_anew_when_its_result_changes(
    both: Callable[..., TrainingOutcome], engine: StandInEngine
) -> None:
    class WarmsUp(Supervised):
        def step(self, run: Run, batch: Batch) -> None:
            loss = F.cross_entropy(run.student_forward(batch.images).logits, batch.labels)
            run.backward_and_step(loss if run.progress >= 0.6 else 0.1 * loss)

    assert both(WarmsUp).execution == "captured"
    assert engine.calls.count("capture") == 2


class WithOwnState(Supervised):
    """Has a module and an optimiser of its own, draws random numbers, and keeps tensors that it replaces."""

    mean: Tensor
    last: Tensor

    def __init__(self, task: Any, config: Any) -> None:
        super().__init__(task, config)
        self.own = nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("last", torch.zeros(3))
        self._optimizer = torch.optim.SGD(self.own.parameters(), lr=0.1, momentum=0.9)

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"own": self._optimizer}

    def step(self, run: Run, batch: Batch) -> None:
        self._optimizer.zero_grad()
        answer = self.own(torch.rand(4, 3) + self.last)
        answer.square().mean().backward()
        self._optimizer.step()
        self.last = answer.detach()[0]
        loss = F.cross_entropy(run.student_forward(batch.images).logits, batch.labels)
        self.mean = 0.9 * self.mean + 0.1 * loss.detach()
        run.log(mean=self.mean, constant=3.0)
        run.backward_and_step(loss * (1 + self.mean + self.own.weight.detach().mean()))


def test_state_random_numbers_and_optimisers_of_a_method_go_on_in_repetitions(
    both: Callable[..., TrainingOutcome],
) -> None:
    assert both(WithOwnState).execution == "captured"


class KeepsInADictionary(Supervised):
    def __init__(self, task: Any, config: Any) -> None:
        super().__init__(task, config)
        self.kept = {"mean": torch.zeros(())}

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        self.kept["mean"] = 0.5 * self.kept["mean"] + student.logits.detach().mean()
        return F.cross_entropy(student.logits * (1 + self.kept["mean"]), batch.labels)


def test_tensors_in_a_dictionary_of_the_method_go_on_in_repetitions(both: Callable[..., TrainingOutcome]) -> None:
    assert both(KeepsInADictionary).execution == "captured"


class Killed(Exception):
    pass


@pytest.mark.parametrize("stop_at", [3, AT_FIRST + 1, PER_EPOCH + 2])
def test_a_captured_run_resumes_and_ends_like_an_unbroken_eager_one(
    both: Callable[..., TrainingOutcome],
    engine: StandInEngine,
    images: TrainingSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:
    expected = both(WithOwnState)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SPACING", -1)
    broken = assignment_in(tmp_path, TRACK, WithOwnState, place="broken")

    def kill(done: int, total: int) -> None:
        if done == stop_at + 1:
            raise Killed

    with pytest.raises(Killed):
        train(broken, images, kill)
    engine.calls.clear()
    outcome = train(broken, images, lambda *_: None)
    assert engine.calls[0] == "rehearse"
    assert outcome.weights == expected.weights
    assert (outcome.budget, outcome.execution) == (expected.budget, "captured")
    assert outcome.timing.student is None
    assert [epoch.keys() for epoch in outcome.curves] == [epoch.keys() for epoch in expected.curves]


class CountsSteps(Supervised):
    seen = 0

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        self.seen += 1
        return super().loss(batch, student, teacher)


COUNTED = [0]


class CountsInItsFile(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        COUNTED[0] += 1
        return super().loss(batch, student, teacher)


class DrawsByNumpy(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        return F.cross_entropy(student.logits, batch.labels) * (1 + 0 * np.random.rand())


class DrawsByItself(Supervised):
    def __init__(self, task: Any, config: Any) -> None:
        super().__init__(task, config)
        self.random = np.random.default_rng(0)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        return F.cross_entropy(student.logits, batch.labels) * self.random.uniform(0.5, 1.5)


class Waits(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        loss = F.cross_entropy(student.logits, batch.labels)
        return loss if loss.item() > 0 else -loss


class UsesProgress(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        loss = F.cross_entropy(run.student_forward(batch.images).logits, batch.labels)
        run.backward_and_step(loss * (1 - run.progress))


class UsesStepInTensor(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        loss = F.cross_entropy(run.student_forward(batch.images).logits, batch.labels)
        run.backward_and_step(loss * torch.full((), run.step + 1))


class Iterates(Supervised):
    def __init__(self, task: Any, config: Any) -> None:
        super().__init__(task, config)
        self.weights = itertools.cycle([0.5, 1.5])

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        return F.cross_entropy(student.logits, batch.labels) * next(self.weights)


class KeepsGraph(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        self.logits = student.logits
        return super().loss(batch, student, teacher)


class Grows(Supervised):
    def __init__(self, task: Any, config: Any) -> None:
        super().__init__(task, config)
        self.queue = torch.zeros(0)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        self.queue = torch.cat([self.queue, student.logits.detach().mean()[None]])
        return super().loss(batch, student, teacher)


class AddsGradients(WithOwnState):
    def step(self, run: Run, batch: Batch) -> None:
        self.own(torch.rand(4, 3)).square().mean().backward()
        run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (CountsSteps, "the method changes `self.seen` in each step"),
        (CountsInItsFile, "the method changes `COUNTED[0]` in each step"),
        (DrawsByNumpy, "the method draws random numbers on the CPU in each step"),
        (DrawsByItself, "the method changes `self.random` in each step"),
        (Waits, "the capture failed at test_captured_steps.py:"),
        (UsesProgress, "the method computes with `run.progress`, which changes in each step"),
        (UsesStepInTensor, "the method computes with `run.step`, which changes in each step"),
        (Iterates, "the method keeps an iterator in `self.weights`, whose position cannot be seen"),
        (KeepsGraph, "the method replaces the tensor `self.logits` in each step; copy into it, without gradient"),
        (Grows, "the method replaces the tensor `self.queue` by one of another shape or type"),
        (AddsGradients, "the method adds to gradients of an earlier step; set them to None before"),
    ],
)
def test_a_step_that_cannot_be_captured_runs_eagerly_with_a_reason(
    both: Callable[..., TrainingOutcome], engine: StandInEngine, method: type[Method], reason: str
) -> None:
    outcome = both(method)
    assert outcome.execution.startswith(f"eager: {reason}")
    assert engine.calls.count("repeat") == 0
    assert outcome.timing.student is not None


def test_a_step_that_creates_tensors_later_is_captured_later(
    both: Callable[..., TrainingOutcome], engine: StandInEngine
) -> None:
    class LogsLater(Supervised):
        def step(self, run: Run, batch: Batch) -> None:
            loss = F.cross_entropy(run.student_forward(batch.images).logits, batch.labels)
            if run.step >= steps.WARM_UP + 1:
                run.log(late=loss)
            run.backward_and_step(loss)

    assert both(LogsLater).execution == "captured"
    assert engine.calls.count("capture") == 2


def log_twice(recorder: Recorder) -> None:
    recorder.operations.append(recorder.operations[-1])


def forget_the_update(recorder: Recorder) -> None:
    recorder.operations = [entry for entry in recorder.operations if "adamw" not in entry[0]._schema.name]


@pytest.mark.parametrize(("spoil", "word"), [(log_twice, "its loss ("), (forget_the_update, "student weights")])
def test_a_capture_that_computes_something_else_is_never_used(
    both: Callable[..., TrainingOutcome], engine: StandInEngine, spoil: Callable[[Recorder], None], word: str
) -> None:
    engine.spoil = spoil
    outcome = both(Supervised)
    assert outcome.execution.startswith(
        f"eager: a repetition of the captured step differed from the step itself in {word}"
    )
    assert engine.calls.count("repeat") == 1


def test_a_step_is_not_captured_without_memory_for_it(
    both: Callable[..., TrainingOutcome], engine: StandInEngine
) -> None:
    engine.short = "a captured step needs 3.0 GiB, and the GPU has 1.0 GiB free"
    assert both(Supervised).execution == f"eager: {engine.short}"


def test_few_steps_are_not_captured(
    both: Callable[..., TrainingOutcome], engine: StandInEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LEAST_REPETITIONS", 2 * PER_EPOCH)
    assert both(Supervised).execution == "eager: the training has too few steps to capture one"
    assert engine.calls == []


def test_a_loss_that_becomes_infinite_in_repetitions_is_divergence(
    engine: StandInEngine, images: TrainingSet, tmp_path: Path
) -> None:
    class Explodes(Supervised):
        def __init__(self, task: Any, config: Any) -> None:
            super().__init__(task, config)
            self.factor = torch.ones(())

        def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
            self.factor *= 1e9
            return F.cross_entropy(student.logits, batch.labels) * self.factor

    outcome = train(assignment_in(tmp_path, TRACK, Explodes), images, lambda *_: None)
    assert outcome.status == "diverged"
    assert "repeat" in engine.calls
