"""The cost of one training step: teacher forward, student forward, loss, backward, update.

Drawing the batch is not in it. Networks have random weights and images are noise, on which the cost does not depend.
Run it with `kdbench timing`.
"""

from collections.abc import Callable

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from kdbench.api import Task
from kdbench.backbones import Backbone
from kdbench.data.training_sets import TrainingSet
from kdbench.spec import Direction, Family, Track, families, load_spec
from kdbench.submissions import load_submission
from kdbench.training.batches import Batches
from kdbench.training.networks import new_backbone
from kdbench.training.run import MeteredRun
from kdbench.training.stopwatch import Stopwatch

ROUNDS, WARMUP_ROUNDS = 15, 3
MOST_IMAGES = 3000  # of the training set; methods may keep a memory of its size
PLENTY_OF_STEPS = 10**6


def test_training_step(benchmark: BenchmarkFixture, case: tuple[str, Direction, str], device: str) -> None:
    track_name, direction, method = case
    track = load_spec().track(track_name)
    if device == "cpu":
        torch.set_num_threads(track.training.cpu_threads)
    step = training_step(track, direction, method, torch.device(device))
    benchmark.group = f"{track_name} {direction}"
    benchmark.extra_info.update(
        track=track_name,
        direction=direction,
        method=load_submission(method).name,
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        batch_size=track.training.batch_size,
        threads=torch.get_num_threads(),
    )
    benchmark.pedantic(step, rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS, iterations=1)


def training_step(track: Track, direction: Direction, method_name: str, device: torch.device) -> Callable[[], None]:
    """A function that does one whole step under the harness's metering and waits for the device."""
    teacher_family, student_family = families(direction)
    method_class = load_submission(method_name)
    batches = _batches(track, student_family, device)
    student = _network(track, student_family, device).train()
    teacher = (
        _network(track, teacher_family, device).eval().requires_grad_(False) if method_class.uses_teacher else None
    )
    size = track.data.image_size
    task = Task(
        num_classes=track.data.num_classes,
        num_train=len(batches.labels),
        train_labels=batches.labels,
        teacher=teacher.shapes(size) if teacher else None,
        student=student.shapes(size),
        total_steps=batches.per_epoch * track.training.student_epochs,
        epochs=track.training.student_epochs,
        seed=0,
        device=device,
    )
    metered = MeteredRun(
        student=student,
        teacher=teacher,
        method=method_class(task, method_class.Config()).to(device).train(),
        batches=batches,
        training=track.training,
        backbone=track.backbones[student_family],
        total_steps=PLENTY_OF_STEPS,
        stopwatch=Stopwatch(device),
        device=device,
    )
    metered.prepare()
    batch = next(batches.epoch(0))

    def step() -> None:
        metered.train_on(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _network(track: Track, family: Family, device: torch.device) -> Backbone:
    backbone = new_backbone(track, family, seed=0, pretrained=False)
    memory_format = torch.channels_last if family == "cnn" else torch.contiguous_format
    return backbone.to(device, memory_format=memory_format)  # type: ignore[call-overload,no-any-return]


def _batches(track: Track, family: Family, device: torch.device) -> Batches:
    """Noise in place of the track's training images, of which one batch is drawn."""
    size, batch_size = track.data.image_size, track.training.batch_size
    count = min(track.data.num_train, MOST_IMAGES if size <= 32 else 2 * batch_size)
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    labels = np.arange(count) % track.data.num_classes
    return Batches(
        TrainingSet(pixels, labels),
        track.data,
        track.augmentation,
        batch_size=batch_size,
        stream=("timing",),
        device=device,
        channels_last=family == "cnn",
    )
