"""Measures the cost of an eager training step on a GPU, what limits its speed, and whether it is within the targets.

A step consists of drawing, resizing and augmenting the batch, the forward passes, the loss, the update and the
metering, as in a run. The rate is measured over many steps, with a wait for the device at the end. Seconds per epoch
refer to the track's training images; they exclude evaluation and `prepare`, whose time is reported separately.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.timing.rows import WARM_UP_ROUNDS, CheckRow, guarded, now
from kdbench.leaderboard.published import PAPER_TRACK, published_seconds, read_published
from kdbench.methods.directions import declared_directions
from kdbench.methods.loading import load_submission
from kdbench.networks.device import forget_peak_memory, peak_memory
from kdbench.spec import Direction, Track
from kdbench.timing.timed_training import TimedTraining, timed_training
from kdbench.training.memory import GIB

REFERENCE, ALONE = "lm", "independent"  # what others are compared with, and the student that trains alone
RATIOS, OTHER_RATIO = {"sskd": 4.5}, 2.2  # targets of the ratio of an epoch to the reference's
MOST_OWN = 0.05  # target of a method's own share of a step
PARTS = ("data", "teacher", "student")  # what the harness times; the rest of a step is the method's


@dataclass(frozen=True)
class Bench:
    """The setting of the measured trainings.

    Attributes:
        track: of the spec.
        device: where they run.
        peak: FLOP/s of the device.
        steps: number of steps that are timed.
        images: number of images in the training set.
    """

    track: Track
    device: torch.device
    peak: float
    steps: int
    images: int

    @property
    def has_targets(self) -> bool:
        """Whether there are targets; only the paper's track on a GPU has them."""
        return self.track.name == PAPER_TRACK and self.device.type == "cuda"

    @property
    def steps_per_epoch(self) -> float:
        """Number of steps in which a training sees as many images as the track has."""
        return self.track.data.num_train / self.track.training.batch_size


@dataclass(frozen=True)
class StepCost:
    """The cost of one step.

    Attributes:
        seconds: of the step.
        shares: of these seconds, by part; those of the harness and "method".
        flops: floating-point operations of matrix products and convolutions.
        own_stage: seconds of the method's stage before training.
        memory: the most bytes that were held at once.
    """

    seconds: float
    shares: Mapping[str, float]
    flops: int
    own_stage: float
    memory: int


def training_rows(bench: Bench, methods: Sequence[str]) -> Iterator[CheckRow]:
    """Yield a line for each method and direction, starting with the method that the others are compared with."""
    for direction in bench.track.directions:
        epochs: dict[str, float] = {}
        for name in sorted(methods, key=lambda method: method != REFERENCE):
            if direction in declared_directions(load_submission(name)):
                yield from guarded(f"{name} {direction}", partial(_rows_of, bench, direction, name, epochs))


def _rows_of(bench: Bench, direction: Direction, name: str, epochs: dict[str, float]) -> Iterator[CheckRow]:
    """Yield the line of a method, and add its seconds per epoch to those of the earlier methods."""
    cost = step_cost(bench, direction, name)
    epochs[name] = cost.seconds * bench.steps_per_epoch
    good = within_target(name, epochs, cost.shares["method"]) if bench.has_targets else None
    yield CheckRow(f"{name} {direction}", _described(bench, direction, name, cost, epochs), good)


def step_cost(bench: Bench, direction: Direction, name: str) -> StepCost:
    """Measure the step of a method."""
    forget_peak_memory(bench.device)
    training = timed_training(bench.track, direction, name, bench.device, bench.images, "eager")
    with flop_counter() as counter:
        training.step()
    for _ in range(WARM_UP_ROUNDS):
        training.step()
    spent = _spent(training, bench)
    diagnostics = spent.pop("diagnostics", 0.0)
    whole = spent.pop("whole") - diagnostics
    shares = {part: spent.get(part, 0.0) / whole for part in PARTS}
    return StepCost(
        seconds=whole / bench.steps,
        shares=shares | {"method": max(0.0, 1 - sum(shares.values()))},
        flops=counter.get_total_flops(),
        own_stage=training.run.stopwatch.read().get("prepare", 0.0),
        memory=peak_memory(bench.device),
    )


class _NoModules(AbstractContextManager["_NoModules"]):
    """Replaces the counter's tracker of modules.

    Its hooks refuse a module that is called under `no_grad` with inputs that need gradients, as a method may do.
    """

    parents = frozenset({"Global"})

    def __exit__(self, *_: object) -> None:
        return None


def flop_counter() -> FlopCounterMode:
    """Return a context that counts the FLOPs of all modules."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    return counter


def _spent(training: TimedTraining, bench: Bench) -> dict[str, float]:
    """Return the seconds of all timed steps, by part and as a whole."""
    stopwatch = training.run.stopwatch
    before, started = stopwatch.read(), now(bench.device)
    for _ in range(bench.steps):
        training.step()
    whole = now(bench.device) - started
    return {part: value - before.get(part, 0.0) for part, value in stopwatch.read().items()} | {"whole": whole}


def within_target(name: str, epochs: Mapping[str, float], own: float) -> bool | None:
    """Return whether a method's own share of a step, and its seconds per epoch, are within their targets.

    Args:
        name: of the method.
        epochs: seconds per epoch, by method.
        own: the method's own share.

    Returns:
        None without the method to compare with, if the share is within its target.
    """
    if own > MOST_OWN:
        return False
    if REFERENCE not in epochs:
        return None
    return epochs[name] <= RATIOS.get(name, OTHER_RATIO) * epochs[REFERENCE]


def _described(bench: Bench, direction: Direction, name: str, cost: StepCost, epochs: Mapping[str, float]) -> str:
    rate = bench.track.training.batch_size / cost.seconds
    stage = f" after {cost.own_stage:.0f} s of its own stage" if cost.own_stage >= 1 else ""
    ratio = f"{epochs[name] / epochs[REFERENCE]:.2f} x {REFERENCE}, " if REFERENCE in epochs else ""
    theirs = published_seconds(read_published(), direction) if bench.track.name == PAPER_TRACK else {}
    paper = f"{theirs[name]} s in the paper" if name in theirs else "not timed in the paper"
    shares = ", ".join(f"{part} {share:.0%}" for part, share in cost.shares.items())
    return (
        f"{epochs[name]:.1f} s per epoch{stage} ({ratio}{paper}), {rate:.0f} images/s, {cost.memory / GIB:.1f} GiB; "
        f"bound by {max(cost.shares, key=lambda part: cost.shares[part])} ({shares}), "
        f"{cost.flops / cost.seconds / bench.peak:.0%} of the matrix peak"
    )
