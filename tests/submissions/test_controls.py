"""What the methods of the control arms compute."""

import sys
from typing import Any

import pytest
import torch

from kdbench.api import Batch, Method, Output, Task
from kdbench.methods.loading import load_submission
from kdbench.methods.preflight import backbone_shapes
from kdbench.plan.controls import read_controls
from kdbench.resources import shipped
from kdbench.testsets.spec import load_spec

SYNTHETIC = load_spec().track("synthetic")


class Recorder:
    """Stands for the harness: keeps the images that a step asks about, and its losses."""

    def __init__(self, classes: int = 10) -> None:
        self.seen: list[torch.Tensor] = []
        self.losses: dict[str, torch.Tensor] = {}
        self._classes = classes

    def student_forward(self, images: torch.Tensor) -> Output:
        self.seen.append(images)
        return Output(logits=images.flatten(1)[:, : self._classes])

    def teacher_forward(self, images: torch.Tensor) -> Output:
        self.seen.append(images)
        return Output(logits=images.flatten(1)[:, -self._classes :])

    def backward_and_step(self, losses: dict[str, torch.Tensor]) -> None:
        self.losses = losses


def method_of(name: str, **config: object) -> Method:
    method = load_submission(read_controls()[name].path)
    task = Task(
        num_classes=10,
        num_train=100,
        train_labels=torch.arange(100) % 10,
        teacher=backbone_shapes(SYNTHETIC, "vit"),
        student=backbone_shapes(SYNTHETIC, "cnn"),
        total_steps=10,
        epochs=1,
        seed=0,
        device=torch.device("cpu"),
    )
    return method(task, method.Config(**config))


def some_batch(count: int = 6) -> Batch:
    images = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(images=images, labels=torch.arange(count) % 10, index=torch.arange(count))


def test_label_smoothing_moves_a_tenth_of_the_label_to_all_classes() -> None:
    batch, logits = some_batch(), torch.randn(6, 10)
    method = method_of("label-smoothing")
    losses = method.loss(batch, Output(logits=logits), None)
    target = 0.9 * torch.nn.functional.one_hot(batch.labels, 10) + 0.01
    expected = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(losses["cross_entropy"], expected)  # type: ignore[index]


def test_rotated_views_are_those_of_sskd_with_the_same_labels() -> None:
    batch, run = some_batch(), Recorder()
    method_of("independent-rotated").step(run, batch)  # type: ignore[arg-type]
    (seen,) = run.seen
    for turns in range(4):
        torch.testing.assert_close(seen[6 * turns : 6 * turns + 6], batch.images.rot90(turns, dims=(2, 3)))
    logits = seen.flatten(1)[:, :10]
    cross_entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(run.losses["cross_entropy"], cross_entropy(logits[:6], batch.labels))
    rotated = cross_entropy(logits[6:], batch.labels.repeat(3))
    torch.testing.assert_close(run.losses["rotated_cross_entropy"], rotated)


def test_hard_matching_has_the_teacher_s_preferred_class_as_its_label() -> None:
    batch, mine, theirs = some_batch(), torch.randn(6, 10), torch.randn(6, 10)
    losses: Any = method_of("lm-hard").loss(batch, Output(logits=mine), Output(logits=theirs))
    cross_entropy = torch.nn.functional.cross_entropy
    assert [losses[name].weight for name in ("cross_entropy", "distillation")] == pytest.approx([0.1, 0.9])
    torch.testing.assert_close(losses["cross_entropy"].value, cross_entropy(mine, batch.labels))
    torch.testing.assert_close(losses["distillation"].value, cross_entropy(mine, theirs.argmax(dim=1)))


def test_shuffled_answers_are_those_to_another_image_of_the_class() -> None:
    labels = torch.tensor([2, 0, 2, 1, 0, 2])
    mine, theirs = torch.randn(6, 10), torch.randn(6, 10)
    batch = Batch(images=torch.randn(6, 3, 32, 32), labels=labels, index=torch.arange(6))
    losses: Any = method_of("lm-shuffled").loss(batch, Output(logits=mine), Output(logits=theirs))
    exchanged = theirs[[2, 4, 5, 3, 1, 0]]  # the only image of class 1 keeps its own answer
    expected: Any = method_of("lm-w90-t1", temperature=4.0).loss(batch, Output(logits=mine), Output(logits=exchanged))
    for name in ("cross_entropy", "distillation"):
        assert losses[name].weight == expected[name].weight
        torch.testing.assert_close(losses[name].value, expected[name].value)


def test_matching_on_views_is_the_mean_of_lm_on_each_view() -> None:
    batch, run = some_batch(), Recorder()
    method_of("lm-views").step(run, batch)  # type: ignore[arg-type]
    teacher, student = run.seen
    assert teacher is student
    losses: Any = run.losses
    lm, expected = method_of("lm-w90-t1", temperature=4.0), []
    for turns in range(4):
        view = batch.images.rot90(turns, dims=(2, 3)).flatten(1)
        parts: Any = lm.loss(batch, Output(view[:, :10]), Output(view[:, -10:]))
        expected.append(parts["distillation"].value)
    torch.testing.assert_close(losses["distillation"].value, torch.stack(expected).mean())
    logits = batch.images.flatten(1)[:, :10]
    upright = torch.nn.functional.cross_entropy(logits, batch.labels)
    torch.testing.assert_close(losses["cross_entropy"].value, upright)


def test_views_leave_about_half_of_the_images_alone_and_change_the_others() -> None:
    torch.manual_seed(0)
    batch, run = some_batch(200), Recorder()
    method_of("independent-views").step(run, batch)  # type: ignore[arg-type]
    plain, view = run.seen
    assert plain is batch.images
    unchanged = (plain == view).flatten(1).all(dim=1)
    assert 70 < int(unchanged.sum()) < 130
    assert set(run.losses) == {"cross_entropy", "view_cross_entropy"}


@pytest.mark.skipif(
    not shipped("benchmark", "submissions", "capd.py").exists(), reason="there is no capd to compare with"
)
def test_views_are_those_of_capd() -> None:
    ours, theirs = (
        sys.modules[method.__module__]
        for method in (load_submission(read_controls()["independent-views"].path), load_submission("capd"))
    )
    images, views = some_batch(20).images, []
    for module in (ours, theirs):
        torch.manual_seed(3)
        views.append(module.random_view(images, (8, 8), 0.5))
    torch.testing.assert_close(*views)
