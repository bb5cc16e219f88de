"""Captures one step, and refuses the capture if its repetitions would not do what the step does."""

from collections.abc import Callable
from dataclasses import dataclass

from kdbench.api import Batch
from kdbench.training.capture.engine import Engine, NotCaptured
from kdbench.training.capture.method_state import require_same_places, settle
from kdbench.training.capture.readings import Condition
from kdbench.training.capture.subject import Moment, Subject
from kdbench.training.counts import Counts


@dataclass(frozen=True)
class Capture:
    """A captured step.

    Attributes:
        repeat: computes the step again.
        batch: the tensors from which it reads its batch.
        counts: what one step counts.
        epoch: in which the capture is valid; None for every epoch.
        conditions: of the numbers of the run, under which the capture is valid.
        held: objects that must live as long as the capture.
        checked: whether a repetition has been compared with the same step run eagerly.
    """

    repeat: Callable[[], None]
    batch: Batch
    counts: Counts
    epoch: int | None
    conditions: frozenset[Condition]
    held: tuple[object, ...]
    checked: bool = False


def capture_step(run: Subject, engine: Engine, buffers: Batch, before: Moment) -> Capture:
    """Capture the next step of a run; the caller puts back what this changes in Python.

    Args:
        run: whose step to capture.
        engine: captures it.
        buffers: the tensors from which the captured step reads its batch.
        before: the present moment.

    Raises:
        Exception: the step cannot be captured; `NewTensors` if it can be later.
    """
    random = engine.frozen_random_states()
    with run.readings.watching(run.step):
        repeat = engine.capture(lambda: _record(run, engine, buffers, before))
    _require_repeatable(run, engine, before, random)
    return Capture(
        repeat=repeat,
        batch=buffers,
        counts=run.read_counts().minus(before.counts),
        epoch=run.epoch if "epoch" in run.readings.used else None,
        conditions=frozenset(run.readings.conditions),
        held=tuple(before.objects()),
    )


def _record(run: Subject, engine: Engine, buffers: Batch, before: Moment) -> None:
    """Run what is captured: a step, and the copies of tensors that the method replaces."""
    with run.stopwatch.paused():
        run.update_on(buffers)
    settle(before.method, Moment(run, engine.device).method)


def _require_repeatable(run: Subject, engine: Engine, before: Moment, random: tuple[object, ...]) -> None:
    after = Moment(run, engine.device)
    if used := run.readings.changing():
        raise NotCaptured(f"the method computes with `run.{used}`, which changes in each step")
    require_same_places(before.method, after.method)
    require_same_places(before.harness, after.harness)
    if obstacle := change_in_python(before, after, engine, random):
        raise NotCaptured(obstacle)
    if before.added_to_gradient():
        raise NotCaptured("the method adds to gradients of an earlier step; set them to None before")


def change_in_python(before: Moment, after: Moment, engine: Engine, random: tuple[object, ...]) -> str | None:
    """Return what a step has changed in Python that a capture would freeze, as a clause; None for nothing.

    Args:
        before, after: the moments before and after the step.
        engine: on which the step ran.
        random: states of the generators that a capture would freeze, before the step.
    """
    if changed := before.method.changed(after.method):
        return f"the method changes `{changed}` in each step"
    if engine.frozen_random_states() != random:
        return "the method draws random numbers on the CPU in each step"
    return None
