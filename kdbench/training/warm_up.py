"""Lets the device and the compiler prepare for a training, before its time is measured and a method's code exists."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import torch

from kdbench.api import OutputField
from kdbench.networks.backbone import Backbone
from kdbench.networks.compiling import compile_network
from kdbench.networks.device import forget_peak_memory
from kdbench.networks.models import new_backbone
from kdbench.networks.placement import memory_format, placed_student, placed_teacher
from kdbench.networks.precision import autocast
from kdbench.spec import Family, Track
from kdbench.training.failures import CannotCompile

STEPS: Final = 3
_DONE: set[tuple[object, ...]] = set()  # what this process is warm for


@dataclass(frozen=True)
class WarmUp:
    """What the speed of a training's networks depends on; there is no code of a method in it.

    Attributes:
        track: with all overrides.
        family: of the network to train.
        teacher_family: None for a training without a teacher.
        needs: the fields of the output that the method reads.
        device: of the training.
        compiled: whether the networks are compiled.
        micro_batches: number of parts that a batch is split into.
    """

    track: Track
    family: Family
    teacher_family: Family | None
    needs: frozenset[OutputField]
    device: torch.device
    compiled: bool
    micro_batches: int = 1

    @property
    def key(self) -> tuple[object, ...]:
        """What tells whether a process is warm for a training."""
        track, families = self.track.training_digest, (self.family, self.teacher_family)
        return track, *families, self.needs, str(self.device), self.compiled, self.micro_batches


def warm_up(settings: WarmUp) -> None:
    """Run some steps on networks that are discarded, unless this process has done it before.

    In these steps the device loads its libraries and chooses its kernels, and the compiler compiles. Only the networks
    of the spec and blank images are used. On the CPU, where neither takes time, uncompiled networks are not warmed up.

    Raises:
        CannotCompile: the compiler failed.
    """
    if settings.key in _DONE or (settings.device.type == "cpu" and not settings.compiled):
        return
    with _failures_of_the_compiler() if settings.compiled else nullcontext():
        _exercise_all(settings)
    forget_peak_memory(settings.device)
    _DONE.add(settings.key)


@contextmanager
def _failures_of_the_compiler() -> Iterator[None]:
    """Turn an error of the compiler into one sentence that says what to do."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CannotCompile(f"the networks cannot be compiled: {reason}; run with --no-compile") from error


def _exercise_all(settings: WarmUp) -> None:
    parameters = settings.track.training.parameters_on(settings.device.type)
    student = placed_student(_untrained(settings, settings.family), settings.device, parameters).train()
    _exercise(settings, student)
    if settings.teacher_family is not None:
        precision = settings.track.training.precision_on(settings.device.type)
        _exercise(settings, placed_teacher(_untrained(settings, settings.teacher_family), settings.device, precision))


def _untrained(settings: WarmUp, family: Family) -> Backbone:
    return new_backbone(settings.track, family, seed=0, pretrained=False)


def _exercise(settings: WarmUp, network: Backbone) -> None:
    """Run some steps of a student, or forward passes of a teacher, on blank images."""
    training, size = settings.track.training, settings.track.data.image_size
    batch = torch.zeros(training.batch_size // settings.micro_batches, 3, size, size, device=settings.device)
    batch = batch.contiguous(memory_format=memory_format(settings.family))  # the teacher sees the student's batch
    if settings.compiled:
        compile_network(network)
    for _ in range(STEPS):
        precision = training.precision_on(settings.device.type)
        with autocast(precision, settings.device), torch.set_grad_enabled(network.training):
            logits = network(batch, settings.needs).logits
        if network.training:
            logits.float().sum().backward()
