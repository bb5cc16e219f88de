"""The cost of one training step: drawing the batch, teacher forward, student forward, loss, backward, update.

Networks have random weights and images are noise, on which the cost does not depend; they are stored as the track
stores them, and resized and augmented as in a run. The norms of gradients, which a run logs once an epoch, are not in
it. Run it with `kdbench timing`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from kdbench.api import Batch
from kdbench.data.training_sets import TrainingSet
from kdbench.methods.loading import load_submission
from kdbench.methods.tasks import make_task
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone
from kdbench.networks.placement import memory_format, placed
from kdbench.spec import Direction, Family, Track, families
from kdbench.testsets.spec import load_spec
from kdbench.training.batches import Batches
from kdbench.training.metered import MeteredRun
from kdbench.training.stopwatch import Stopwatch

ROUNDS, WARMUP_ROUNDS = 15, 3
MOST_IMAGES = 3000  # on a processor, where a method's own pass over the whole training set would take minutes
PLENTY_OF_STEPS = 10**6


@dataclass(frozen=True)
class TimedTraining:
    """A training that takes its steps one by one, as it is asked for them.

    Attributes:
        run: the harness's metering; the method's own stage is done, and so is the first step, which logs the norms of
            gradients.
        drawn: batches without end.
    """

    run: MeteredRun
    drawn: Iterator[Batch]

    def step(self) -> None:
        """Draws a batch and does one whole step on it; a GPU may still be at work on it."""
        with self.run.stopwatch.part("data"):
            batch = next(self.drawn)
        self.run.train_on(batch)

    def finished_step(self) -> None:
        """The same, waiting for the device."""
        self.step()
        self.run.stopwatch.now()


def test_training_step(benchmark: BenchmarkFixture, case: tuple[str, Direction, str], device: str) -> None:
    track_name, direction, method = case
    track = load_spec().track(track_name)
    if device == "cpu":
        torch.set_num_threads(track.training.cpu_threads)
    images = track.data.num_train if device == "cuda" else min(track.data.num_train, MOST_IMAGES)
    training = timed_training(track, direction, method, torch.device(device), images)
    benchmark.group = f"{track_name} {direction}"
    benchmark.extra_info.update(
        track=track_name,
        direction=direction,
        method=load_submission(method).name,
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        batch_size=track.training.batch_size,
        threads=torch.get_num_threads(),
    )
    benchmark.pedantic(training.finished_step, rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS, iterations=1)


def timed_training(
    track: Track, direction: Direction, method_name: str, device: torch.device, images: int
) -> TimedTraining:
    """A training of a method on so many images of noise, ready for its second step."""
    teacher_family, student_family = families(direction)
    method_class = load_submission(method_name)
    batches = _batches(track, student_family, device, images)
    student = placed_network(track, student_family, device).train()
    teacher = (
        placed_network(track, teacher_family, device).eval().requires_grad_(False)
        if method_class.uses_teacher
        else None
    )
    size = track.data.image_size
    task = make_task(
        track,
        batches.labels,
        teacher=teacher.shapes(size) if teacher else None,
        student=student.shapes(size),
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
    training = TimedTraining(metered, (batch for epoch in count() for batch in batches.epoch(epoch)))
    training.finished_step()
    return training


def placed_network(track: Track, family: Family, device: torch.device) -> Backbone:
    """A network of the track with random weights, laid out on the device as in a run."""
    return placed(new_backbone(track, family, seed=0, pretrained=False), device)


def stored_size(track: Track) -> int:
    """Pixels a side of the images that a track keeps."""
    return track.data.resize.stored if track.data.resize else track.data.image_size


def _batches(track: Track, family: Family, device: torch.device, images: int) -> Batches:
    """Noise in place of so many of the track's training images, at the size that it stores."""
    size = stored_size(track)
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), np.uint8)
    return Batches(
        TrainingSet(pixels, np.arange(images) % track.data.num_classes),
        track.data,
        track.augmentation,
        batch_size=track.training.batch_size,
        stream=("timing",),
        device=device,
        memory_format=memory_format(family),
    )
