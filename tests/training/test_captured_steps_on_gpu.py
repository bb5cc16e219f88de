"""On a GPU, captured steps train as eager ones do, within the noise of bfloat16; skipped where there is none."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output
from kdbench.data.training_sets import training_set
from kdbench.methods.loading import load_submission
from kdbench.networks.models import new_backbone
from kdbench.spec import Direction, Track, families
from kdbench.training import loop
from kdbench.training.assignment import Assignment
from kdbench.training.capture.engine import CudaEngine
from kdbench.training.capture.steps import EagerSteps
from kdbench.training.loop import train
from kdbench.training.outcome import TrainingOutcome
from kdbench.training.teacher import Supervised
from tests.training.small_runs import small_track

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
TRACK = small_track().model_copy(update={"data": small_track().data.model_copy(update={"num_train": 320})})
"""The synthetic track with two epochs of 20 steps, long enough for captures."""


def distilled(folder: Path, name: str, direction: Direction, track: Track = TRACK) -> Assignment:
    """Return the assignment of a method whose teacher has random weights."""
    teacher_family, student_family = families(direction)
    method = load_submission(name)
    teacher = new_backbone(track, teacher_family, seed=1, pretrained=False)
    return Assignment(
        track=track,
        role="student",
        family=student_family,
        bias=None,
        seed=0,
        method_class=method,
        config=method.Config(),
        teacher_family=teacher_family if method.uses_teacher else None,
        teacher_state=teacher.model.state_dict() if method.uses_teacher else None,
        folder=folder,
        device="cuda",
    )


def run_of(given: Assignment) -> TrainingOutcome:
    data = training_set(given.track, role="student", bias=None, seed=0, source=None)
    return train(given, data, lambda *_: None)


CAPTURED: tuple[tuple[str, Direction], ...] = (
    ("independent", "cnn-to-vit"),
    ("independent", "vit-to-cnn"),
    ("lm", "cnn-to-vit"),
    ("lm", "vit-to-cnn"),
    ("crd", "cnn-to-vit"),
    ("crd", "vit-to-cnn"),
    ("cskd", "cnn-to-vit"),
    ("vlfkd", "cnn-to-vit"),
    ("sskd", "vit-to-cnn"),
    ("capd", "vit-to-cnn"),
)


@pytest.mark.parametrize(("name", "direction"), CAPTURED)
def test_every_method_is_captured_and_learns_as_eagerly(
    name: str, direction: Direction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "captured", tmp_path / "eager"
    for folder in folders:
        folder.mkdir()
    captured = run_of(distilled(folders[0], name, direction))
    monkeypatch.setattr(loop, "make_steps", EagerSteps)
    eager = run_of(distilled(folders[1], name, direction))
    assert (captured.status, eager.status) == ("ok", "ok"), captured.reason
    assert captured.execution == "captured"
    assert captured.budget == eager.budget
    for ours, theirs in zip(captured.curves, eager.curves, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.05)
        assert ours["learning_rate"] == theirs["learning_rate"]


class Interrupted(Exception):
    pass


def test_a_captured_run_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "CHECKPOINT_SPACING", -1)
    given = distilled(tmp_path, "lm", "cnn-to-vit")
    data = training_set(given.track, role="student", bias=None, seed=0, source=None)

    def interrupt(done: int, total: int) -> None:
        if done == 15:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(given, data, interrupt)
    outcome = train(given, data, lambda *_: None)
    assert (outcome.status, outcome.execution, outcome.budget.steps) == ("ok", "captured", 40)


class WaitsForTheLoss(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        loss = F.cross_entropy(student.logits, batch.labels)
        return loss if loss.item() > 0 else -loss


class DrawsOnTheProcessor(Supervised):
    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        return F.cross_entropy(student.logits, batch.labels) * (1 + float(torch.rand(())))


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (WaitsForTheLoss, "eager: the step waits for the device at test_gpu.py:"),
        (DrawsOnTheProcessor, "eager: the method draws random numbers on the CPU in each step"),
    ],
)
def test_a_step_that_cannot_be_captured_runs_eagerly(tmp_path: Path, method: type[Method], sentence: str) -> None:
    outcome = run_of(
        replace(distilled(tmp_path, "independent", "cnn-to-vit"), method_class=method, config=method.Config())
    )
    assert outcome.status == "ok", outcome.reason
    assert outcome.execution.startswith(sentence)


def test_training_goes_on_after_a_capture_that_fails_midway() -> None:
    engine, tensor = CudaEngine(GPU), torch.ones(4, device=GPU)

    def waits() -> None:
        tensor.add_(torch.rand(4, device=GPU))
        tensor.sum().item()

    def adds() -> None:
        tensor.add_(torch.rand(4, device=GPU))

    with engine.at_work():
        with pytest.raises(Exception, match=r"captur|synchroniz"):
            engine.capture(waits)
        assert torch.equal(tensor.cpu(), torch.ones(4))
        assert torch.rand(4, device=GPU).sum() > 0  # the generator has left its mode for captures
        repeat = engine.capture(adds)
        repeat()
        first = tensor.clone()
        repeat()
    assert not torch.equal(tensor - first, first - 1)  # other random numbers in each repetition


def test_memory_does_not_grow_over_repetitions(tmp_path: Path) -> None:
    given = distilled(tmp_path, "lm", "cnn-to-vit")
    data = training_set(given.track, role="student", bias=None, seed=0, source=None)
    reserved: list[int] = []
    outcome = train(given, data, lambda *_: reserved.append(torch.cuda.memory_reserved(GPU)))
    assert outcome.execution == "captured"
    assert reserved[-1] == reserved[25]  # of 40 steps


def test_a_compiled_run_is_captured(tmp_path: Path) -> None:
    outcome = run_of(replace(distilled(tmp_path, "lm", "cnn-to-vit"), compiled=True))
    assert (outcome.status, outcome.execution) == ("ok", "captured"), outcome.reason
