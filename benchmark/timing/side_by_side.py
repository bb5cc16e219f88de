"""Measures several trainings at once on one device, each in a process of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import torch

from benchmark.timing.rows import CheckRow, now
from kdbench.spec import Direction, Track
from kdbench.timing.timed_training import Form, timed_training

METHOD = "lm"
TARGET = 8.0  # times the images per second of the plain loop, all trainings together
WAIT_SECONDS = 300.0  # for all trainings to be ready
STEPS_BETWEEN_LOOKS = 8  # at the clock, for which the process waits for the device


@dataclass(frozen=True)
class Crowd:
    """Trainings that run at once.

    Attributes:
        track, direction: of all of them.
        device: "cpu" or "cuda".
        images: number of training images of each.
        form: how their steps run.
        runs: number of trainings.
        seconds: for which they train.
    """

    track: Track
    direction: Direction
    device: str
    images: int
    form: Form
    runs: int
    seconds: float


def crowd_row(crowd: Crowd, plain: float | None, fastest: float | None) -> Iterator[CheckRow]:
    """Yield the row of the images per second of all trainings together.

    Args:
        crowd: what to run.
        plain: images per second of the plain loop; None if that was not measured.
        fastest: images per second of the fastest form alone; None if that was not measured.
    """
    rate = sum(crowd_rates(crowd))
    name = f"{crowd.direction}, {crowd.runs} trainings at once"
    facts = {f"{crowd.direction} speed-up": rate / fastest} if fastest else {}
    if plain is None:
        yield CheckRow(name, f"{rate:.0f} images/s in sum; the plain loop was not measured", good=False, facts=facts)
        return
    text = f"{rate:.0f} images/s in sum, {rate / plain:.2f} times the plain loop; the target is {TARGET:g}"
    yield CheckRow(name, text, rate >= TARGET * plain, facts)


def crowd_rates(crowd: Crowd) -> list[float]:
    """Return the images per second of each training, while all of them run.

    Raises:
        RuntimeError: a training failed before all were ready.
    """
    context = get_context("spawn")
    barrier, rates = context.Barrier(crowd.runs), context.Queue()
    processes = [context.Process(target=_train, args=(crowd, barrier, rates), daemon=True) for _ in range(crowd.runs)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    measured = [rates.get(timeout=1) for process in processes if process.exitcode == 0]
    if len(measured) < crowd.runs:
        raise RuntimeError(f"{crowd.runs - len(measured)} of {crowd.runs} trainings failed")
    return measured


def _train(crowd: Crowd, barrier: Barrier, rates: "Queue[float]") -> None:
    """Train when all others are ready, and report the images per second."""
    device = torch.device(crowd.device)
    torch.set_num_threads(crowd.track.training.cpu_threads)
    try:
        training = timed_training(crowd.track, crowd.direction, METHOD, device, crowd.images, crowd.form)
        barrier.wait(WAIT_SECONDS)
    except BaseException:
        barrier.abort()
        raise
    started, steps = now(device), 0
    while now(device) - started < crowd.seconds:
        for _ in range(STEPS_BETWEEN_LOOKS):
            training.step()
        steps += STEPS_BETWEEN_LOOKS
    rates.put(steps * crowd.track.training.batch_size / (now(device) - started))
