"""Splits the batch of a training step that does not fit the device, if that is allowed; else reports the memory that it
needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench.api import Method
from kdbench.data.training_sets import TrainingSet
from kdbench.networks.device import forget_peak_memory, peak_memory
from kdbench.training.assignment import Assignment
from kdbench.training.failures import TooLittleMemory
from kdbench.training.setup import set_up

PROBES = (8, 16)  # images of the two small steps from which the memory of a large one is estimated
ROOM = 0.9  # share of the free memory that a step may use
GIB = 2**30
ALLOC_FAILED = ("_STATUS_ALLOC_FAILED", "DEVICE_ALLOCATION_FAILED")  # in errors of cuBLAS and cuDNN 8, and of cuDNN 9


@dataclass(frozen=True)
class MicroBatchPlan:
    """The parts that a batch is split into.

    Attributes:
        micro_batches: number of equal parts whose gradients are summed; 1 for the whole batch.
        needed_bytes: memory for a step on the whole batch.
    """

    micro_batches: int
    needed_bytes: int


def plan_micro_batches(
    method: type[Method], student: nn.Module, batch_size: int, peak: Callable[[int], int], free_bytes: int
) -> MicroBatchPlan:
    """Return the fewest micro-batches that fit.

    Splitting a batch changes only rounding if the student and the method treat every image of the batch separately: the
    gradient of the mean loss is then the mean of the parts' gradients.

    Args:
        method: the submission.
        student: the network that is trained.
        batch_size: images per step.
        peak: returns the bytes that a step needs, given its number of images.
        free_bytes: memory that the device has for a step.

    Raises:
        TooLittleMemory: no allowed split fits.
    """
    small, large = (peak(images) for images in PROBES)
    an_image = max(0.0, (large - small) / (PROBES[1] - PROBES[0]))
    fixed = small - an_image * PROBES[0]
    needed = int(fixed + an_image * batch_size)
    obstacle = _obstacle(method, student)
    if obstacle is None:
        for parts in (count for count in range(2, batch_size + 1) if batch_size % count == 0):
            if fixed + an_image * (batch_size // parts) <= ROOM * free_bytes:
                return MicroBatchPlan(parts, needed)
        obstacle = "not even a single image fits"
    raise TooLittleMemory(
        f"a step of {batch_size} images needs about {needed / GIB:.1f} GiB, and the device has {free_bytes / GIB:.1f} "
        f"free; its batch is not split, because {obstacle}. Use a device with more memory, or end other processes on it"
    )


def _obstacle(method: type[Method], student: nn.Module) -> str | None:
    """Return why a batch may not be split; None if it may."""
    if any(isinstance(module, _BatchNorm) for module in student.modules()):
        return "the student normalises by statistics of the whole batch"
    if not method.per_sample:
        return f"the loss of {method.name} depends on the whole batch (it does not declare `per_sample`)"
    return None


def step_memory(assignment: Assignment, data: TrainingSet, images: int) -> int:
    """Return the peak memory of a step in bytes, measured on a trial step whose result is discarded.

    Args:
        assignment: of the training.
        data: the training set.
        images: of the step.
    """
    training = assignment.track.training.model_copy(update={"batch_size": images})
    smaller = replace(assignment, track=assignment.track.model_copy(update={"training": training}))
    forget_peak_memory(assignment.torch_device)
    trial = set_up(smaller, data)
    trial.metered.train_on(next(trial.batches.epoch(0)))
    return peak_memory(assignment.torch_device)


@contextmanager
def shortage_by_one_name() -> Iterator[None]:
    """Turn the RuntimeError that cuBLAS and cuDNN raise when they get no memory into torch.OutOfMemoryError.

    Raises:
        torch.OutOfMemoryError: with the message of the library.
    """
    try:
        yield
    except RuntimeError as error:
        if any(text in str(error) for text in ALLOC_FAILED):
            raise torch.OutOfMemoryError(str(error)) from error
        raise
