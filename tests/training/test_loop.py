"""A training ends with the weights that its seed decides, within its budget, and says how it ended."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Output, Run, Term
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.methods.loading import load_submission
from kdbench.networks.compiling import compile_network
from kdbench.networks.models import read_weights
from kdbench.records import WEIGHTS
from kdbench.spec import Family
from kdbench.training import loop, setup, warm_up
from kdbench.training.assignment import Assignment
from kdbench.training.checkpoints import CHECKPOINT
from kdbench.training.loop import train
from kdbench.training.metered import MeteredRun
from kdbench.training.outcome import TrainingOutcome, read_outcome
from kdbench.training.teacher import Supervised
from tests.training.small_runs import BATCH, EPOCHS, IMAGES, Make, Trained

STEPS = EPOCHS * IMAGES // BATCH


class Killed(Exception):
    pass


def silent(done: int, total: int) -> None:
    pass


def weights_of(assignment: Assignment) -> dict[str, Tensor]:
    return load_file(assignment.folder / WEIGHTS)


def outcome_of(assignment: Assignment) -> TrainingOutcome:
    outcome = read_outcome(assignment.folder)
    assert outcome is not None
    return outcome


def assert_same_weights(first: Assignment, second: Assignment) -> None:
    left, right = weights_of(first), weights_of(second)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


class Noisy(Supervised):
    """Draws random numbers and has a module and an optimiser of its own: all that a checkpoint must carry."""

    def __init__(self, task, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(task, config)
        self.scale = nn.Linear(task.num_classes, task.num_classes)
        self.own = nn.Linear(1, 1)
        self._optimizer = torch.optim.SGD(self.own.parameters(), lr=0.1, momentum=0.9)

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"own": self._optimizer}

    def step(self, run: Run, batch: Batch) -> None:
        self._optimizer.zero_grad()
        self.own(torch.rand(4, 1)).square().mean().backward()
        self._optimizer.step()
        logits = self.scale(run.student_forward(batch.images).logits) * (
            1 + 0.1 * torch.rand(()) + self.own.weight.detach()
        )
        run.backward_and_step(F.cross_entropy(logits, batch.labels))


@pytest.mark.parametrize("method", [Supervised, Noisy])
@pytest.mark.parametrize("stop_at", [1, IMAGES // BATCH, STEPS - 1])
def test_a_killed_run_resumes_and_ends_with_the_weights_of_an_unbroken_one(
    make: Make,
    data: TrainingSet,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    method: type[Supervised],
    stop_at: int,
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    unbroken, broken = trained(method), make(method)

    def kill(done: int, total: int) -> None:
        if done == stop_at + 1:
            raise Killed

    with pytest.raises(Killed):
        train(broken, data, kill)
    assert (broken.folder / CHECKPOINT).exists()
    outcome = train(broken, data, silent)
    assert_same_weights(unbroken, broken)
    assert outcome.curves[-1]["loss"] == pytest.approx(outcome_of(unbroken).curves[-1]["loss"], rel=1e-6)
    assert outcome.budget.steps == STEPS
    assert not (broken.folder / CHECKPOINT).exists()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    make: Make, data: TrainingSet, trained: Trained
) -> None:
    first = outcome_of(trained(Supervised)).weights
    assert train(make(place="again"), data, silent).weights == first
    assert train(make(place="other", seed=1), data, silent).weights != first


def test_the_budget_is_counted(make: Make, data: TrainingSet, trained: Trained) -> None:
    teacher = trained(Supervised)
    outcome = train(make(load_submission("lm"), teacher=teacher.folder / WEIGHTS), data, silent)
    assert outcome.status == "ok"
    budget = outcome.budget
    assert (budget.steps, budget.examples, budget.prepare_examples) == (STEPS, STEPS * BATCH, 0)
    assert (
        budget.student_forward_images
        == budget.student_backward_images
        == budget.teacher_forward_images
        == STEPS * BATCH
    )


def test_training_learns(trained: Trained) -> None:
    outcome = outcome_of(trained(Supervised))
    assert outcome.curves[-1]["loss"] < outcome.curves[0]["loss"]


class Weighted(Supervised):
    """Two terms that say the same, one of them twice as loud, and one that does not reach the student."""

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        loss = F.cross_entropy(student.logits, batch.labels)
        return {"plain": loss, "loud": Term(loss, 2.0), "deaf": Term(torch.tensor(7.0), 0.5)}


def test_terms_are_recorded_raw_and_weighted_with_their_gradient_norm(make: Make, data: TrainingSet) -> None:
    epoch = train(make(Weighted), data, silent).curves[0]
    assert epoch["loud"] == pytest.approx(epoch["plain"])
    assert epoch["loud_weighted"] == pytest.approx(2 * epoch["plain"])
    assert epoch["loss"] == pytest.approx(3 * epoch["plain"] + 3.5)
    assert epoch["gradient_norm_plain"] > 0
    assert epoch["gradient_norm_loud"] == pytest.approx(2 * epoch["gradient_norm_plain"])
    assert epoch["gradient_norm_deaf"] == 0


class LooksFirst(Supervised):
    """Asks the student and draws random numbers in `prepare`, which may not change what is trained."""

    def prepare(self, run: Run) -> None:
        for batch in run.batches(2):
            assert not run.student_forward(batch.images).logits.requires_grad


def test_asking_the_student_in_prepare_changes_no_weight(make: Make, data: TrainingSet, trained: Trained) -> None:
    plain, looking = trained(Supervised), make(LooksFirst)
    assert train(looking, data, silent).budget.prepare_examples == 2 * BATCH
    assert_same_weights(plain, looking)


class TrainsItsOwn(Supervised):
    """Trains a module of its own in `prepare`, on what the teacher says."""

    uses_teacher = True

    def __init__(self, task, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(task, config)
        self.own = nn.Linear(task.num_classes, task.num_classes)
        self._optimizer = torch.optim.SGD(self.own.parameters(), lr=1.0)

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"own": self._optimizer}

    def prepare(self, run: Run) -> None:
        for batch in run.batches(2):
            logits = self.own(run.teacher_forward(batch.images).logits)
            self._optimizer.zero_grad()
            F.cross_entropy(logits, batch.labels).backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            moved = self.own(torch.zeros(1, self.task.num_classes)) - self.own.bias
            run.log(stale=moved.abs().max())


def test_what_a_method_trains_in_half_precision_is_used_as_trained_in_the_same_stage(
    make: Make, trained: Trained
) -> None:
    teacher = trained(Supervised)
    assignment = make(TrainsItsOwn, teacher=teacher.folder / WEIGHTS)
    recipe = {"cpu_precision": "bfloat16", "student_epochs": 1, "batch_size": 4}
    whole = assignment.track
    training, data = whole.training.model_copy(update=recipe), whole.data.model_copy(update={"num_train": 8})
    track = whole.model_copy(update={"training": training, "data": data})
    images = training_set(track, role="student", bias=None, seed=0, source=None)
    outcome = train(replace(assignment, track=track), images, silent)
    assert outcome.status == "ok"
    assert outcome.curves[0]["stale"] < 1e-2


class UpdatesTwice(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        super().step(run, batch)
        super().step(run, batch)


class NeverUpdates(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        run.student_forward(batch.images)


class DrawsTooMuch(Supervised):
    def prepare(self, run: Run) -> None:
        for _ in run.batches(IMAGES // BATCH + 1):
            pass


class TrainsInPrepare(Supervised):
    def prepare(self, run: Run) -> None:
        for batch in run.batches(1):
            run.backward_and_step(run.student_forward(batch.images).logits.mean())


class ChangesTheTeacher(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        with torch.no_grad():
            for parameter in run._harness.teacher.parameters():  # type: ignore[attr-defined]
                parameter.add_(1.0)
        super().step(run, batch)


class Explodes(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        return {"explosion": student.logits.sum() * float("inf")}


@pytest.mark.parametrize(
    ("method", "status", "word"),
    [
        (UpdatesTwice, "over_budget", "must update the student once"),
        (NeverUpdates, "over_budget", "must update the student once"),
        (DrawsTooMuch, "over_budget", "more than one pass"),
        (TrainsInPrepare, "over_budget", "may not update the student"),
        (Explodes, "diverged", "explosion"),
    ],
)
def test_a_breach_ends_the_run_with_a_reason(
    make: Make, data: TrainingSet, method: type[Supervised], status: str, word: str
) -> None:
    assignment = make(method)
    outcome = train(assignment, data, silent)
    assert outcome.status == status
    assert re.search(word, outcome.reason)
    assert read_outcome(assignment.folder) == outcome
    assert not (assignment.folder / WEIGHTS).exists()


def test_a_method_that_changes_the_teacher_is_found_out(make: Make, data: TrainingSet, trained: Trained) -> None:
    teacher = trained(Supervised)
    outcome = train(make(ChangesTheTeacher, teacher=teacher.folder / WEIGHTS), data, silent)
    assert outcome.status == "over_budget"
    assert "teacher" in outcome.reason


def test_outcome_round_trips(trained: Trained) -> None:
    outcome = outcome_of(trained(Supervised))
    assert TrainingOutcome.model_validate_json(outcome.model_dump_json()) == outcome


def test_a_compiled_run_compiles_nothing_while_its_clock_runs(
    make: Make, data: TrainingSet, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.testing import CompileCounterWithBackend  # takes seconds, in every process that collects tests

    teacher = trained(Supervised)
    compiler = CompileCounterWithBackend("aot_eager")
    for module in (setup, warm_up):
        monkeypatch.setattr(module, "compile_network", partial(compile_network, backend=compiler))
    compiled = replace(make(load_submission("lm"), teacher=teacher.folder / WEIGHTS), compiled=True)
    seen: list[int] = []
    monkeypatch.setattr(MeteredRun, "prepare", lambda run: seen.append(compiler.frame_count))
    outcome = train(compiled, data, lambda *_: seen.append(compiler.frame_count))
    assert outcome.status == "ok"
    norms = [value for name, value in outcome.curves[0].items() if name.startswith("gradient_norm_")]
    assert min(norms) > 0
    assert seen[0] > 0
    assert set(seen) == {seen[0]}


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_parameters_train_in_the_precision_of_the_spec_and_are_written_as_float32(
    make: Make, data: TrainingSet, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = make(Supervised)
    training = assignment.track.training.model_copy(
        update={"cpu_precision": "bfloat16", "cpu_parameters": "bfloat16", "student_epochs": 1}
    )
    given = replace(assignment, track=assignment.track.model_copy(update={"training": training}), family=family)
    kinds: list[dict[str, torch.dtype]] = []
    monkeypatch.setattr(
        MeteredRun,
        "prepare",
        lambda run: kinds.append({name: p.dtype for name, p in run.student.model.named_parameters()}),
    )
    outcome = train(given, data, silent)
    assert (outcome.status, outcome.reason) == ("ok", "")
    (types,) = kinds
    coarse = {name for name, kind in types.items() if kind == torch.bfloat16}
    exact = types.keys() - coarse
    assert exact == {name for name in types if family == "cnn" and ("bn" in name or "downsample.1" in name)}
    written = read_weights(given.folder / WEIGHTS, outcome.weights)
    assert {tensor.dtype for tensor in written.values()} <= {torch.float32, torch.int64}
