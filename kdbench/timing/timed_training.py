"""A training whose steps are run and timed one by one, for the timing suite and the GPU checks.

The networks have random weights and the images are noise, since the cost of a step does not depend on them. The images
are stored, resized and augmented as in a run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal, get_args

import numpy as np
import torch

from kdbench.api import Batch
from kdbench.data.training_sets import TrainingSet
from kdbench.methods.loading import load_submission
from kdbench.methods.tasks import make_task
from kdbench.networks.backbone import Backbone
from kdbench.networks.compiling import compile_network
from kdbench.networks.models import new_backbone
from kdbench.networks.peers import PeerBuilder
from kdbench.networks.placement import memory_format, placed, placed_student, placed_teacher
from kdbench.spec import Direction, Family, Track, families
from kdbench.training.average import average_of
from kdbench.training.batches import Batches
from kdbench.training.capture.steps import CapturedSteps, EagerSteps, Steps, make_steps
from kdbench.training.metered import MeteredRun
from kdbench.training.stopwatch import Stopwatch

PLENTY_OF_STEPS = 10**6
MOST_STEPS_BEFORE_CAPTURE, REPETITIONS_BEFORE_TIMING = 40, 3  # the first repetition is checked by an eager step
Form = Literal["eager", "captured", "compiled"]
FORMS: tuple[Form, ...] = get_args(Form)
"""How steps run: eagerly; captured where the device can; and captured with networks that torch.compile compiled."""


@dataclass(frozen=True)
class TimedTraining:
    """A training that runs its steps on request.

    Attributes:
        run: the metered run. Its `prepare` and its first step, which logs the norms of gradients, are finished.
        batches: an endless sequence of batches.
        steps: runs them; where it captures steps, it has captured one or given up.
    """

    run: MeteredRun
    batches: Iterator[Batch]
    steps: Steps

    @property
    def execution(self) -> str:
        """How its steps run, in words."""
        return self.steps.description

    def step(self) -> None:
        """Draw a batch and run one step on it, without waiting for the device."""
        with self.run.stopwatch.part("data"):
            batch = next(self.batches)
        self.steps.take(batch)

    def finished_step(self) -> None:
        """Run a step and wait for the device."""
        self.step()
        self.run.stopwatch.now()


def timed_training(
    track: Track, direction: Direction, method_name: str, device: torch.device, images: int, form: Form = "captured"
) -> TimedTraining:
    """Return a training of a method that is ready for its second step.

    Args:
        track: with the networks, batches and settings.
        direction: with the families of the networks.
        method_name: name of a submission, or the path of its file.
        device: where to train.
        images: number of noise images in the training set.
        form: how steps run.
    """
    teacher_family, student_family = families(direction)
    method_class = load_submission(method_name)
    batches = _batches_of_noise(track, student_family, device, images)
    student = _student(track, student_family, device).train()
    teacher = None
    if method_class.uses_teacher:
        untrained = new_backbone(track, teacher_family, seed=0, pretrained=False)
        teacher = placed_teacher(untrained, device, track.training.precision_on(device.type))
    peers = PeerBuilder(lambda number: _student(track, student_family, device, number).train(), method_class.needs)
    size = track.data.image_size
    task = make_task(
        track,
        batches.labels.clone(),
        teacher=teacher.shapes(size) if teacher else None,
        student=student.shapes(size),
        epochs=track.training.student_epochs,
        seed=0,
        device=device,
        build=peers.build,
    )
    if form == "compiled":
        for network in (student, teacher):
            if network is not None:
                compile_network(network)
    method = method_class(task, method_class.Config()).to(device).train()
    metered = MeteredRun(
        student=student,
        teacher=teacher,
        method=method,
        task=task,
        batches=batches,
        training=track.training,
        backbone=track.backbones[student_family],
        total_steps=PLENTY_OF_STEPS,
        stopwatch=Stopwatch(device),
        device=device,
        peers=peers.built,
        average=average_of(method, student, lambda: _student(track, student_family, device)),
    )
    steps = EagerSteps(metered) if form == "eager" else make_steps(metered)
    steps.prepare()
    training = TimedTraining(metered, (batch for epoch in count() for batch in batches.epoch(epoch)), steps)
    training.finished_step()
    if isinstance(steps, CapturedSteps):
        _settle(training, steps)
    return training


def _student(track: Track, family: Family, device: torch.device, seed: int = 0) -> Backbone:
    """Return a network of the track with random weights, to be trained."""
    untrained = new_backbone(track, family, seed=seed, pretrained=False)
    return placed_student(untrained, device, track.training.parameters_on(device.type))


def _settle(training: TimedTraining, steps: CapturedSteps) -> None:
    """Run steps until they are repetitions of a captured one, or until it is clear that they will not be."""
    for _ in range(MOST_STEPS_BEFORE_CAPTURE):
        if steps.repeated >= REPETITIONS_BEFORE_TIMING:
            break
        training.finished_step()


def untrained_network(track: Track, family: Family, device: torch.device) -> Backbone:
    """Return a network of the track with random weights, on the device and with the memory layout of a run."""
    return placed(new_backbone(track, family, seed=0, pretrained=False), device)


def noise_set(track: Track, images: int) -> TrainingSet:
    """Return a training set of noise images at the stored size of the track's images."""
    size = track.data.stored_size
    pixels = np.random.default_rng(0).integers(0, 256, (images, size, size, 3), np.uint8)
    return TrainingSet(pixels, np.arange(images) % track.data.num_classes)


def _batches_of_noise(track: Track, family: Family, device: torch.device, images: int) -> Batches:
    return Batches(
        noise_set(track, images),
        track.data,
        track.augmentation,
        batch_size=track.training.batch_size,
        stream=("timing",),
        device=device,
        memory_format=memory_format(family),
    )
