"""A method that changes what belongs to the harness ends its run with a sentence that says what and where."""

import contextlib
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kdbench.api import Batch, Losses, Method, Output, Run
from kdbench.data.training_sets import TrainingSet
from kdbench.networks.backbone import Backbone
from kdbench.records import WEIGHTS
from kdbench.training.failures import RuleBroken
from kdbench.training.loop import train
from kdbench.training.teacher import Supervised
from kdbench.training.torch_settings import read_settings, settings_kept, settings_put_back
from tests.training.small_runs import Make, Trained


class Hostile(Supervised):
    """Has the student, as no honest method would."""

    def step(self, run: Run, batch: Batch) -> None:
        self.student = self.__dict__.get("student") or find_student(run)
        self.mischief(batch)
        super().step(run, batch)

    def mischief(self, batch: Batch) -> None:
        raise NotImplementedError


def find_student(run: Run) -> list[Backbone]:
    """Return the student in a list, so that it does not become a module of the method."""
    return [run._harness.student]  # type: ignore[attr-defined]


class ReachesForTheStudent(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        run.student.eval()  # type: ignore[attr-defined]


class ChangesInPlace(Hostile):
    @torch.no_grad()
    def mischief(self, batch: Batch) -> None:
        next(self.student[0].parameters()).mul_(1.01)


class ChangesData(Hostile):
    def mischief(self, batch: Batch) -> None:
        next(self.student[0].parameters()).data.mul_(1.01)


class ChangesAndRestores(Hostile):
    def mischief(self, batch: Batch) -> None:
        state = {name: tensor.clone() for name, tensor in self.student[0].state_dict().items()}
        next(self.student[0].parameters()).detach().zero_()
        self.student[0].load_state_dict(state)


class ReplacesAParameter(Hostile):
    def mischief(self, batch: Batch) -> None:
        classifier = self.student[0].model.get_classifier()  # type: ignore[operator]
        classifier.weight = torch.nn.Parameter(classifier.weight.detach().clone())


class ReplacesAModule(Hostile):
    def mischief(self, batch: Batch) -> None:
        model = self.student[0].model
        model.fc = torch.nn.Linear(model.fc.in_features, model.fc.out_features)  # type: ignore[union-attr,arg-type]


class Freezes(Hostile):
    def mischief(self, batch: Batch) -> None:
        next(self.student[0].parameters()).requires_grad_(False)


class Evaluates(Hostile):
    def mischief(self, batch: Batch) -> None:
        self.student[0].eval()


class ForwardsByItself(Hostile):
    def mischief(self, batch: Batch) -> None:
        self.student[0](batch.images)


class ForwardsSecretly(Hostile):
    def mischief(self, batch: Batch) -> None:
        with contextlib.suppress(Exception):
            self.student[0](batch.images)


class LateOptimizer(Hostile):
    def mischief(self, batch: Batch) -> None:
        torch.optim.SGD(self.student[0].parameters(), lr=0.1).step()


class FusedOptimizer(Hostile):
    def mischief(self, batch: Batch) -> None:
        torch.optim.AdamW(self.student[0].parameters(), lr=0.1, fused=True).step()


class Harness(Supervised):
    """Takes the harness itself."""

    def step(self, run: Run, batch: Batch) -> None:
        harness = run._harness  # type: ignore[attr-defined]
        self.meddle(harness)
        super().step(run, batch)

    def meddle(self, harness) -> None:  # type: ignore[no-untyped-def]
        raise NotImplementedError


class RaisesTheRate(Harness):
    def meddle(self, harness) -> None:  # type: ignore[no-untyped-def]
        harness.optimizer.param_groups[0]["lr"] = 1.0


class DropsDecay(Harness):
    def meddle(self, harness) -> None:  # type: ignore[no-untyped-def]
        for group in harness.optimizer.param_groups:
            group["weight_decay"] = 0.0


class ChangesBetas(Harness):
    def meddle(self, harness) -> None:  # type: ignore[no-untyped-def]
        harness.optimizer.param_groups[0]["betas"] = (0.5, 0.5)


class TurnsBackTheSchedule(Harness):
    def meddle(self, harness) -> None:  # type: ignore[no-untyped-def]
        harness.schedule.last_epoch = 0 if harness.step else 5


class LeavesAModule(Harness):
    def meddle(self, harness) -> None:  # type: ignore[no-untyped-def]
        harness.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})


class PoisonsWeights(Supervised):
    """Makes the last update NaN by the hook of a gradient, when no loss is left to show it."""

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        losses = super().loss(batch, student, teacher)
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 8:
            student.logits.register_hook(lambda gradient: gradient * float("nan"))  # type: ignore[no-untyped-call]
        return losses


class ZeroesTaskLabels(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        self.task.train_labels.zero_()
        super().step(run, batch)


class ZeroesBatchLabels(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        batch.labels.zero_()
        return super().loss(batch, student, teacher)


class ZeroesIndex(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        batch.index.zero_()
        return super().loss(batch, student, teacher)


class ZeroesLabelsInPrepare(Supervised):
    def prepare(self, run: Run) -> None:
        for batch in run.batches(2):
            batch.labels.zero_()


class ChangesInPrepare(Supervised):
    def prepare(self, run: Run) -> None:
        with torch.no_grad():
            next(find_student(run)[0].parameters()).add_(1.0)


class TakesThreads(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().loss(batch, student, teacher)


class TakesThreadsEarly(Supervised):
    def __init__(self, task, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(task, config)
        torch.set_num_threads(torch.get_num_threads() + 1)


class DoublePrecision(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        torch.set_default_dtype(torch.float64)
        return super().loss(batch, student, teacher)


class Deterministic(Supervised):
    def prepare(self, run: Run) -> None:
        torch.use_deterministic_algorithms(True, warn_only=True)


class CoarseProducts(Supervised):
    def prepare(self, run: Run) -> None:
        torch.set_float32_matmul_precision("medium")


class StaysInAutocast(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        super().step(run, batch)
        torch.autocast("cpu", torch.bfloat16).__enter__()  # type: ignore[no-untyped-call]


class LeavesGradientsOff(Supervised):
    def step(self, run: Run, batch: Batch) -> None:
        super().step(run, batch)
        torch.set_grad_enabled(False)


class BenchmarksKernels(Supervised):
    def prepare(self, run: Run) -> None:
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    ("method", "status", "sentence"),
    [
        (ChangesInPlace, "over_budget", r"`step` changed the student's conv1.weight, which only the harness"),
        (ChangesData, "over_budget", "`step` changed the student's weights, which only the harness"),
        (ChangesAndRestores, "over_budget", "`step` changed the student's conv1.weight"),
        (LateOptimizer, "over_budget", "`step` stepped an optimiser that holds parameters of the student"),
        (FusedOptimizer, "over_budget", "`step` stepped an optimiser that holds parameters of the student"),
        (ForwardsByItself, "over_budget", "`step` ran the student outside of `student_forward`"),
        (ForwardsSecretly, "over_budget", "`step` ran the student outside of `student_forward`"),
        (ReplacesAParameter, "error", "`step` replaced a module or tensor of the student"),
        (ReplacesAModule, "error", "`step` replaced a module or tensor of the student"),
        (Freezes, "error", "`step` changed requires_grad of the student's conv1.weight"),
        (Evaluates, "error", "`step` switched the student between training and evaluation mode"),
        (RaisesTheRate, "error", r"`step` changed lr of the student's optimiser from .* to 1\.0"),
        (DropsDecay, "error", r"`step` changed weight_decay of the student's optimiser from 0\.05 to 0\.0"),
        (ChangesBetas, "error", "`step` changed betas of the student's optimiser"),
        (TurnsBackTheSchedule, "error", "`step` changed the schedule of the student's learning rate"),
        (LeavesAModule, "error", "`step` changed the parameters that the student's optimiser trains"),
        (ZeroesTaskLabels, "error", r"`step` changed task\.train_labels in place"),
        (ZeroesBatchLabels, "error", r"`loss` changed batch\.labels in place"),
        (ZeroesIndex, "error", r"`loss` changed batch\.index in place"),
        (ZeroesLabelsInPrepare, "error", r"`prepare` changed batch\.labels in place"),
        (ChangesInPrepare, "over_budget", "`prepare` changed the student"),
        (TakesThreads, "error", r"`loss` changed the number of threads of PyTorch from \d+ to \d+"),
        (DoublePrecision, "error", r"`loss` changed the default dtype of PyTorch from torch.float32 to torch.float64"),
        (Deterministic, "error", "`prepare` changed the choice of deterministic algorithms"),
        (CoarseProducts, "error", "`prepare` changed the float32 matmul precision"),
        (StaysInAutocast, "error", "`step` changed the autocast on cpu"),
        (LeavesGradientsOff, "error", "`step` changed the gradient mode"),
        (BenchmarksKernels, "error", "`prepare` changed the benchmark mode of cuDNN"),
    ],
)
def test_a_broken_rule_ends_the_run_and_is_named_with_its_place(
    make: Make, data: TrainingSet, method: type[Method], status: str, sentence: str
) -> None:
    before = read_settings()
    assignment = make(method)
    outcome = train(assignment, data, lambda done, total: None)
    assert (outcome.status, outcome.budget.steps <= 1) == (status, True), outcome.reason
    assert re.match(rf"test_tripwires\.py:\d+: {sentence}", outcome.reason), outcome.reason
    assert not (assignment.folder / WEIGHTS).exists()
    assert read_settings() == before


def test_a_constructor_that_takes_threads_is_found_out(make: Make, data: TrainingSet) -> None:
    before = torch.get_num_threads()
    outcome = train(make(TakesThreadsEarly), data, lambda done, total: None)
    assert (outcome.status, torch.get_num_threads()) == ("error", before)
    assert "`__init__` changed the number of threads" in outcome.reason


def test_a_run_has_only_what_the_contract_names(make: Make, data: TrainingSet) -> None:
    with pytest.raises(AttributeError, match=r"`run` has no 'student'; a method may use backward_and_step, batches,"):
        train(make(ReachesForTheStudent), data, lambda done, total: None)


def test_weights_that_are_not_finite_are_divergence(make: Make, data: TrainingSet) -> None:
    outcome = train(make(PoisonsWeights), data, lambda done, total: None)
    assert outcome.status == "diverged"
    assert re.match(
        r"the student's \S+ was not finite at the end of the epoch that ended at step 8 of 8", outcome.reason
    )


class WithTeacher(Supervised):
    uses_teacher = True

    def step(self, run: Run, batch: Batch) -> None:
        self.meddle(run._harness.teacher, batch.images)  # type: ignore[attr-defined]
        super().step(run, batch)

    def meddle(self, teacher: Backbone, images: Tensor) -> None:
        raise NotImplementedError


class ShiftsTheTeacher(WithTeacher):
    def meddle(self, teacher: Backbone, images: Tensor) -> None:
        next(teacher.parameters()).data.add_(1.0)


class TrainsTheTeacher(WithTeacher):
    def meddle(self, teacher: Backbone, images: Tensor) -> None:
        teacher.train()


class UnfreezesTheTeacher(WithTeacher):
    def meddle(self, teacher: Backbone, images: Tensor) -> None:
        teacher.requires_grad_(True)


class AsksTheTeacherItself(WithTeacher):
    def meddle(self, teacher: Backbone, images: Tensor) -> None:
        teacher(images)


@pytest.mark.parametrize(
    ("method", "status", "sentence"),
    [
        (ShiftsTheTeacher, "over_budget", "`step` changed the teacher's weights"),
        (TrainsTheTeacher, "error", "`step` switched the teacher between training and evaluation mode"),
        (UnfreezesTheTeacher, "error", "`step` changed requires_grad of the teacher's"),
        (AsksTheTeacherItself, "over_budget", "`step` ran the teacher outside of `teacher_forward`"),
    ],
)
def test_a_teacher_may_not_be_touched(
    make: Make, data: TrainingSet, trained: Trained, method: type[Method], status: str, sentence: str
) -> None:
    folder: Path = trained(Supervised).folder
    outcome = train(make(method, teacher=folder / WEIGHTS), data, lambda done, total: None)
    assert outcome.status == status, outcome.reason
    assert sentence in outcome.reason


def test_a_file_that_changes_settings_on_import_is_found_out() -> None:
    before = read_settings()
    sentence = r"the import of a\.py changed the default dtype of PyTorch"
    with settings_put_back(), pytest.raises(RuleBroken, match=sentence), settings_kept("the import of a.py"):
        torch.set_default_dtype(torch.float64)
    assert read_settings() == before
