"""Runs the steps of a training: eagerly, or as repetitions of a captured step where that is possible."""

import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from kdbench.api import Batch
from kdbench.errors import plain_text
from kdbench.training.capture.capturing import Capture, capture_step, change_in_python
from kdbench.training.capture.engine import Engine, NewTensors, NotCaptured
from kdbench.training.capture.method_state import settle
from kdbench.training.capture.readings import still_hold
from kdbench.training.capture.subject import Moment, Subject
from kdbench.training.capture.trial import difference, tried
from kdbench.training.failures import BudgetExceeded, RuleBroken

EAGER, CAPTURED = "eager", "captured"
WARM_UP = 3  # eager steps before the first capture, in which libraries and optimisers make what they keep
LEAST_REPETITIONS = 8  # a capture and its check cost about as much as some eager steps
MOST_NEW_TENSORS = 3  # captures that are put off because a step creates tensors that live on
MOST_REASON = 200  # characters
FIELDS = ("images", "labels", "index")  # of a batch

logger = logging.getLogger(__name__)


class Steps(Protocol):
    """Runs the steps of a training.

    Attributes:
        repeated: number of steps that were repetitions of a captured step, in this process and before a checkpoint.
    """

    repeated: int

    @property
    def description(self) -> str:
        """How the steps ran: "captured", "eager", or one of them with a reason."""

    def prepare(self) -> None:
        """Run the method's own stage before training."""

    def take(self, batch: Batch) -> None:
        """Run the next step of the training on a batch."""


def make_steps(run: Subject) -> Steps:
    """Return what runs the steps of a run."""
    if run.engine is None:
        return EagerSteps(run)
    if run.micro_batches > 1:
        return EagerSteps(run, f"each batch is split into {run.micro_batches} parts")
    return CapturedSteps(run, run.engine)


class EagerSteps:
    """Runs every step eagerly.

    Args:
        run: of the training.
        reason: why no step is captured on a device on which steps can be captured.
    """

    def __init__(self, run: Subject, reason: str = "") -> None:
        self._run, self._reason, self.repeated = run, reason, 0

    @property
    def description(self) -> str:
        return f"{EAGER}: {self._reason}" if self._reason else EAGER

    def prepare(self) -> None:
        self._run.prepare()

    def take(self, batch: Batch) -> None:
        self._run.train_on(batch)


class CapturedSteps:
    """Captures a step after some eager ones, and repeats it for the batches that follow.

    Eager are the first step of each epoch, which logs the norms of gradients, and some steps before the first capture.
    A capture becomes invalid when a number of the run that the method uses has changed; the step is then captured
    again. If a step cannot be captured, or if the check of a capture fails, all further steps are eager.

    Args:
        run: of the training.
        engine: captures its steps.
    """

    def __init__(self, run: Subject, engine: Engine) -> None:
        self._run, self._engine = run, engine
        self.repeated = 0
        self._reason = ""
        self._warm = 0
        self._rehearsed = False
        self._put_off = 0
        self._uses_epoch = False
        self._buffers: Batch | None = None
        self._capture: Capture | None = None

    @property
    def description(self) -> str:
        if not self._reason and not self.repeated:
            return f"{EAGER}: the training has too few steps to capture one"
        kind = f"{CAPTURED} in part" if self._reason and self.repeated else CAPTURED if self.repeated else EAGER
        return f"{kind}: {plain_text(self._reason, MOST_REASON)}" if self._reason else kind

    def prepare(self) -> None:
        with self._engine.at_work():
            self._run.prepare()

    def take(self, batch: Batch) -> None:
        with self._engine.at_work():
            self._release_outdated()
            self._choose(batch)(batch)

    def _choose(self, batch: Batch) -> Callable[[Batch], None]:
        """Return how to run the next step."""
        run = self._run
        if self._reason:
            return self._run.train_on
        if run.step % run.steps_per_epoch == 0 or not self._fits(batch):
            return self._eagerly
        if self._capture is not None:
            return self._repeat if self._capture.checked else self._check
        if run.thorough or self._possible_repetitions() < LEAST_REPETITIONS:
            return self._eagerly
        if self._warm < WARM_UP:
            return self._eagerly
        return self._capture_step if self._rehearsed else self._rehearse

    def _possible_repetitions(self) -> int:
        """Return how many steps a capture of the next step would serve at most."""
        run = self._run
        in_epoch = run.steps_per_epoch - run.step % run.steps_per_epoch
        return (in_epoch if self._uses_epoch else run.total_steps - run.step) - 1

    def _release_outdated(self) -> None:
        """Release a capture that is no longer valid, and its memory."""
        capture, run = self._capture, self._run
        if capture is None:
            return
        if capture.epoch not in (None, run.epoch) or not still_hold(set(capture.conditions), run):
            self._capture = None

    def _fits(self, batch: Batch) -> bool:
        return self._buffers is None or batch.images.shape == self._buffers.images.shape

    def _moment(self) -> Moment | None:
        """Return the present state; None, after giving up, if the method holds something that cannot be compared."""
        try:
            return Moment(self._run, self._engine.device)
        except NotCaptured as error:
            self._give_up(str(error))
            return None

    def _eagerly(self, batch: Batch) -> None:
        """Run a step eagerly; the tensors of the method stay the same tensors, as captured steps need them."""
        before = self._moment()
        self._run.train_on(batch)
        self._warm += 1
        after = self._moment() if before else None
        if before is None or after is None:
            return
        try:
            settle(before.method, after.method)
        except NotCaptured as error:
            self._give_up(str(error))

    def _rehearse(self, batch: Batch) -> None:
        """Run a step eagerly, and look for what would make its capture fail or be wrong."""
        self._rehearsed = True
        before, random = self._moment(), self._engine.frozen_random_states()
        waits = self._engine.rehearse(lambda: self._eagerly(batch))
        after = self._moment()
        if self._reason or before is None or after is None:
            return
        if waits:
            self._give_up(f"the step waits for the device at {', '.join(waits)}")
        elif obstacle := change_in_python(before, after, self._engine, random):
            self._give_up(obstacle)

    def _capture_step(self, batch: Batch) -> None:
        """Capture the step, and run it eagerly: no repetition counts before the check, which needs another batch."""
        before = self._moment()
        if before is None or (shortage := self._engine.shortage(before.bytes())):
            self._give_up(self._reason or str(shortage))
            self._eagerly(batch)
            return
        try:
            self._capture = capture_step(self._run, self._engine, self._filled(batch), before)
            self._uses_epoch = self._capture.epoch is not None
        except (BudgetExceeded, RuleBroken):
            raise
        except Exception as error:  # whatever keeps a step from being captured, it can still run eagerly
            self._note_failure(error)
        before.put_back()
        self._eagerly(batch)

    def _note_failure(self, error: Exception) -> None:
        """Give up, or put the capture off if the step created tensors that live on."""
        used = self._run.readings.changing()
        self._put_off += isinstance(error, NewTensors)
        if isinstance(error, NewTensors) and self._put_off <= MOST_NEW_TENSORS:
            return
        if isinstance(error, NotCaptured):
            self._give_up(str(error))
        elif used:
            self._give_up(f"the method computes with `run.{used}`, which changes in each step")
        else:
            self._give_up(f"the capture failed{_place(error, self._run)} with {type(error).__name__}: {error}")

    def _check(self, batch: Batch) -> None:
        """Run the step eagerly, and compare what it computes with a repetition from the same state."""
        before, capture = self._moment(), self._capture
        if before is None or capture is None:
            self._eagerly(batch)
            return
        self._filled(batch)
        tensors = before.tensors()
        try:
            start, repeated = tried(capture.repeat, tensors, self._engine)
        except torch.OutOfMemoryError:
            self._give_up("memory did not suffice for the check of a capture")
            self._eagerly(batch)
            return
        self._eagerly(batch)
        if differs := difference(start, tensors, repeated):
            self._give_up(f"a repetition of the captured step differed from the step itself in {differs}")
        elif self._capture is not None:
            self._capture = replace(capture, checked=True)

    def _repeat(self, batch: Batch) -> None:
        """Compute a step by a repetition of the captured step."""
        assert self._capture is not None
        self._filled(batch)
        self._run.set_counts(self._run.read_counts().plus(self._capture.counts))
        self._capture.repeat()
        self._run.schedule.step()
        self.repeated += 1

    def _filled(self, batch: Batch) -> Batch:
        """Return the tensors from which captured steps read their batch, filled with a batch."""
        if self._buffers is None:
            self._buffers = Batch(*(torch.empty_like(getattr(batch, name)) for name in FIELDS))
        for name in FIELDS:
            getattr(self._buffers, name).copy_(getattr(batch, name))
        return self._buffers

    def _give_up(self, reason: str) -> None:
        """Run all further steps eagerly."""
        logger.info("no further step is captured: %s", reason)
        self._reason, self._capture, self._buffers = reason, None, None


def _place(error: BaseException, run: Subject) -> str:
    """Return where in the file of the method an error came from, as " at FILE:LINE"; nothing if it did not."""
    file = getattr(sys.modules.get(type(run.method).__module__), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" at {Path(str(file)).name}:{lines[-1]}" if lines else ""
