"""The one-bit probe finds objects, exchanges their textures, and reads nothing from a teacher but one bit."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.controls.probe_one_bit import ProbeOneBit, conflict_images, object_mask
from kdbench.api import Batch, Output, Task
from kdbench.data.synthetic import condition_images, condition_objects
from kdbench.data.training_sets import saliences_of
from kdbench.methods.preflight import backbone_shapes
from kdbench.testsets.spec import load_spec

SYNTHETIC = load_spec().track("synthetic")
SIZE, COUNT = 32, 24
Oracle = Callable[[Tensor], Tensor]


def wide_or_tall() -> Batch:
    """Return a batch of two classes: wide objects with vertical stripes, and tall ones with horizontal stripes."""
    labels = torch.arange(COUNT) % 2
    images = torch.full((COUNT, 3, SIZE, SIZE), -0.5)
    stripes = (torch.arange(SIZE) // 2 % 2 * 2 - 1) * 0.4 + 0.4
    images[0::2, :, 9:23, 4:28] = stripes[None, 4:28].expand(14, 24)
    images[1::2, :, 4:28, 9:23] = stripes[4:28, None].expand(24, 14)
    return Batch(images=images, labels=labels, index=torch.arange(COUNT))


def sure_of(classes: Tensor) -> Tensor:
    return 20 * torch.nn.functional.one_hot(classes, 2).float()


def by_shape(images: Tensor) -> Tensor:
    """Tell the class by whether the object is taller than wide."""
    mask = object_mask(images)[:, 0]
    return sure_of((mask.any(dim=2).sum(dim=1) > mask.any(dim=1).sum(dim=1)).long())


def by_texture(images: Tensor) -> Tensor:
    """Tell the class by the direction of the stripes in the middle of the object."""
    middle = images[:, 0, 12:20, 12:20]
    down, right = middle.diff(dim=1).abs().mean(dim=(1, 2)), middle.diff(dim=2).abs().mean(dim=(1, 2))
    return sure_of((down > right).long())


class PretendRun:
    """Stands for the harness: a teacher that answers by an oracle, and a student that answers by another."""

    def __init__(self, teacher: Oracle, student: Oracle) -> None:
        self.teacher, self.student = teacher, student
        self.passes, self.losses, self.logged = 0, {"": torch.tensor(0.0)}, {"": 0.0}

    def batches(self, count: int) -> Iterator[Batch]:
        for _ in range(count):
            self.passes += 1
            yield wide_or_tall()

    def teacher_forward(self, images: Tensor) -> Output:
        return Output(logits=self.teacher(images))

    def student_forward(self, images: Tensor) -> Output:
        return Output(logits=self.student(images))

    def log(self, **scalars: float) -> None:
        self.logged = scalars

    def backward_and_step(self, losses: dict[str, Tensor]) -> None:
        self.losses = losses


def a_probe(steps: int = 30) -> ProbeOneBit:
    shapes = backbone_shapes(SYNTHETIC, "cnn")
    task = Task(2, COUNT, torch.arange(COUNT) % 2, shapes, shapes, steps, 3, 0, torch.device("cpu"))
    return ProbeOneBit(task, ProbeOneBit.Config())


def after_probing(teacher: Oracle, student: Oracle = by_shape) -> tuple[ProbeOneBit, PretendRun]:
    torch.manual_seed(0)
    probe, run = a_probe(), PretendRun(teacher, student)
    probe.prepare(run)  # type: ignore[arg-type]
    return probe, run


def test_objects_of_the_synthetic_track_are_found() -> None:
    drawn = condition_images("clean", count=200, saliences=saliences_of(SYNTHETIC))
    objects = condition_objects("clean", count=200) > 127
    images = torch.from_numpy(drawn.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = object_mask(images)[:, 0].numpy()
    overlap = (mask & objects).sum(axis=(1, 2)) / (mask | objects).sum(axis=(1, 2))
    assert np.median(overlap) > 0.6


def test_a_conflict_image_has_its_own_outline_and_background_and_anothers_texture() -> None:
    batch = wide_or_tall()
    order = torch.arange(COUNT).roll(1)  # the other class
    images = conflict_images(batch.images, order)
    background = ~object_mask(batch.images).expand(-1, 3, -1, -1)
    assert torch.equal(images[background], batch.images[background])
    assert torch.equal(by_shape(images).argmax(dim=1), batch.labels)
    assert torch.equal(by_texture(images).argmax(dim=1), batch.labels[order])


@pytest.mark.parametrize(("teacher", "prefers_shape"), [(by_shape, True), (by_texture, False)])
def test_the_bit_is_the_cue_that_the_teacher_goes_by(teacher: Oracle, prefers_shape: bool) -> None:
    probe, run = after_probing(teacher)
    assert bool(probe.prefers_shape) == prefers_shape
    assert run.logged == {"prefers_shape": float(prefers_shape)}
    assert run.passes == 8


def test_no_more_is_seen_before_training_than_one_pass() -> None:
    run = PretendRun(by_shape, by_shape)
    a_probe(steps=6).prepare(run)  # type: ignore[arg-type]
    assert run.passes == 2


@pytest.mark.parametrize(("teacher", "other"), [(by_shape, by_texture), (by_texture, by_shape)])
def test_a_student_that_follows_the_cue_has_no_loss(teacher: Oracle, other: Oracle) -> None:
    for student, least, most in ((teacher, 0.0, 1e-3), (other, 1.0, 100.0)):
        probe, run = after_probing(teacher, student)
        probe.step(run, wide_or_tall())  # type: ignore[arg-type]
        assert least <= run.losses["conflict_cross_entropy"].item() <= most
        assert run.losses["cross_entropy"].item() < 1e-3


def test_a_step_asks_the_teacher_nothing() -> None:
    probe, run = after_probing(by_shape)
    run.teacher = lambda images: pytest.fail("the teacher was asked")
    probe.step(run, wide_or_tall())  # type: ignore[arg-type]
    assert run.losses.keys() == {"cross_entropy", "conflict_cross_entropy"}
