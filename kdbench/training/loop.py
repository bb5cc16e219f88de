"""Runs one training from start to end, or from its last checkpoint."""

import contextlib
import logging
import time
from collections.abc import Callable

import torch

from kdbench.data.training_sets import TrainingSet
from kdbench.methods.places import place_of_definition
from kdbench.networks.device import free_memory, peak_memory
from kdbench.networks.models import new_backbone, state_digest, write_weights
from kdbench.records import WEIGHTS, Status
from kdbench.records.environment import describe_environment
from kdbench.training.assignment import Assignment
from kdbench.training.capture.steps import make_steps
from kdbench.training.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint
from kdbench.training.failures import BudgetExceeded, CannotCompile, Diverged, RuleBroken, Stopped, TooLittleMemory
from kdbench.training.memory import GIB, plan_micro_batches, shortage_by_one_name, step_memory
from kdbench.training.outcome import TALLY, Tally, TrainingOutcome, timing_of, write_outcome
from kdbench.training.setup import Setup, set_up
from kdbench.training.snapshots import snapshot_path, snapshot_steps
from kdbench.training.torch_settings import settings_put_back

CHECKPOINT_SECONDS = 30.0
CHECKPOINT_SPACING = 20  # least time between checkpoints, in units of the time that saving one takes
Progress = Callable[[int, int], None]
"""A function that is called with the number of finished steps and their total number."""

logger = logging.getLogger(__name__)


def train(assignment: Assignment, data: TrainingSet, progress: Progress, tally: Tally | None = None) -> TrainingOutcome:
    """Train, then write the weights and the outcome into the assignment's folder.

    If a loss or weight is not finite, the budget is exceeded, a rule is broken or memory runs out, the outcome says so
    and contains everything that was counted until then. A batch that does not fit the device is split if that is
    allowed.

    Args:
        assignment: what to train. A checkpoint in its folder is resumed.
        data: the training set.
        progress: called after every step.
        tally: receives the counts until a failure.

    Returns:
        The outcome that was written.

    Raises:
        Stopped: the assignment's time is up; the same assignment with more time goes on from the checkpoint.
        Exception: any other error of the method; `tally` then has the counts.
    """
    tally = Tally() if tally is None else tally
    try:
        with shortage_by_one_name(), settings_put_back():
            outcome = _within_memory(assignment, data, progress, tally)
    except Diverged as error:
        outcome = tally.failed("diverged", str(error))
    except BudgetExceeded as error:
        outcome = tally.failed("over_budget", str(error))
    except (CannotCompile, RuleBroken) as error:
        outcome = tally.failed("error", str(error))
    except TooLittleMemory as error:
        outcome = tally.failed("oom", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        outcome = tally.failed("oom", f"memory ran out: {error}")
    write_outcome(assignment.folder, outcome)
    remove_checkpoint(assignment.folder)
    return outcome


def _within_memory(assignment: Assignment, data: TrainingSet, progress: Progress, tally: Tally) -> TrainingOutcome:
    """Train on whole batches, or on parts of them if a whole batch does not fit the device."""
    with (
        contextlib.suppress(torch.OutOfMemoryError),
        shortage_by_one_name(),
    ):  # no variable refers to the first attempt, so its memory is free for the second one
        return _Training(assignment, set_up(assignment, data)).run(progress, tally)
    student = new_backbone(assignment.track, assignment.family, seed=0, pretrained=False)
    plan = plan_micro_batches(
        assignment.method_class,
        student,
        assignment.track.training.batch_size,
        lambda images: step_memory(assignment, data, images),
        free_memory(assignment.torch_device),
    )
    gib = plan.needed_bytes / GIB
    logger.info("a step needs about %.1f GiB, so its batch is split into %d parts", gib, plan.micro_batches)
    return _Training(assignment, set_up(assignment, data, plan.micro_batches)).run(progress, tally)


class _Training:
    """A training: the passes over the training set, and the numbers that they produce."""

    def __init__(self, assignment: Assignment, setup: Setup) -> None:
        self._assignment, self._batches, self._metered = assignment, setup.batches, setup.metered
        self._stopwatch, self._steps = setup.metered.stopwatch, make_steps(setup.metered)
        self._curves: list[dict[str, float]] = []
        self._epoch_seconds: list[float] = []
        self._interrupted = 0.0  # seconds of the present epoch before an interruption
        self._epoch_start: float | None = None
        self._checkpoint_interval = CHECKPOINT_SECONDS

    def run(self, progress: Progress, tally: Tally) -> TrainingOutcome:
        """Train to the end and write the weights. On an error, put the counts into `tally` and raise the error."""
        student = self._metered.student.model
        try:
            self._train(progress)
        except Exception:
            with contextlib.suppress(RuntimeError):  # a failed device may not even be able to finish its timers
                tally.counted = self._outcome("error")
            raise
        weights = write_weights(self._assignment.folder / WEIGHTS, student)
        return self._outcome("ok").model_copy(update={"weights": weights})

    def _train(self, progress: Progress) -> None:
        """Resume from the last checkpoint, or run `prepare`; then train the remaining epochs."""
        metered = self._metered
        teacher_before = state_digest(metered.teacher) if metered.teacher else ""
        saved = load_checkpoint(self._assignment.folder)
        if saved is None:
            self._prepare()
        else:
            metered.restore(saved)
            self._curves, self._epoch_seconds = saved["curves"], saved["epoch_seconds"]
            self._interrupted, self._steps.repeated = saved["epoch_elapsed"], saved.get("repeated", 0)
        while metered.step < metered.total_steps:
            self._stop_in_time()
            self._epoch(progress)
        if metered.teacher and state_digest(metered.teacher) != teacher_before:
            raise BudgetExceeded("the method changed the teacher's weights or buffers")

    def _prepare(self) -> None:
        before = state_digest(self._metered.student)
        self._steps.prepare()
        if state_digest(self._metered.student) != before:
            place = place_of_definition(type(self._metered.method), "prepare")
            raise BudgetExceeded(f"{place}`prepare` changed the student")

    def _epoch(self, progress: Progress) -> None:
        """Train on the remaining batches of an epoch."""
        metered, per_epoch = self._metered, self._batches.per_epoch
        last_saved, self._epoch_start = self._stopwatch.glance(), self._worked()
        batches = self._batches.epoch(metered.epoch, first=metered.step % per_epoch)
        while True:
            with self._stopwatch.part("data"):
                batch = next(batches, None)
            if batch is None:
                break
            self._steps.take(batch)
            self._keep_snapshots()
            progress(metered.step, metered.total_steps)
            if metered.step % per_epoch:
                self._stop_in_time()
            if self._stopwatch.glance() - last_saved > self._checkpoint_interval and metered.step % per_epoch:
                self._checkpoint()
                last_saved = self._stopwatch.glance()
        self._end_epoch()

    def _stop_in_time(self) -> None:
        """Save a checkpoint and raise `Stopped` once the time is up."""
        stop_at = self._assignment.stop_at
        if stop_at is not None and time.monotonic() >= stop_at:
            self._checkpoint()
            raise Stopped

    def _end_epoch(self) -> None:
        self._epoch_seconds.append(self._under_way())
        self._interrupted, self._epoch_start = 0.0, None
        rate = self._metered.schedule.get_last_lr()[0]
        means = self._metered.take_means()
        self._metered.require_finite_weights()
        self._curves.append({**means, "learning_rate": float(rate), "seconds": self._epoch_seconds[-1]})
        self._checkpoint()

    def _keep_snapshots(self) -> None:
        """Write the weights of every snapshot that is due at this step."""
        steps = snapshot_steps(self._metered.total_steps, self._assignment.snapshots)
        for number, step in enumerate(steps, start=1):
            if step == self._metered.step:
                write_weights(snapshot_path(self._assignment.folder, number), self._metered.student.model)

    def _under_way(self) -> float:
        """Return the seconds of the present epoch, including those before an interruption; 0 between epochs."""
        return self._interrupted + (0.0 if self._epoch_start is None else self._worked() - self._epoch_start)

    def _worked(self) -> float:
        """Return the seconds on the clock without diagnostics and checkpoints, which do not count as training time."""
        now, seconds = self._stopwatch.now(), self._stopwatch.read()
        return now - seconds.get("diagnostics", 0.0) - seconds.get("checkpoints", 0.0)

    def _checkpoint(self) -> None:
        progress = {"curves": self._curves, "epoch_seconds": self._epoch_seconds, "epoch_elapsed": self._under_way()}
        started = self._stopwatch.now()
        state = {**self._metered.state(), **progress, "repeated": self._steps.repeated}
        save_checkpoint(self._assignment.folder, state)
        write_outcome(self._assignment.folder, self._outcome("error"), TALLY)
        seconds = self._stopwatch.now() - started
        self._stopwatch.add("checkpoints", seconds)
        self._checkpoint_interval = max(CHECKPOINT_SECONDS, CHECKPOINT_SPACING * seconds)

    def _outcome(self, status: Status) -> TrainingOutcome:
        """Return an outcome with everything that was counted until now."""
        device = self._assignment.torch_device
        return TrainingOutcome(
            status=status,
            budget=self._metered.budget,
            execution=self._steps.description,
            timing=timing_of(
                self._stopwatch.read(), self._epoch_seconds, self._under_way(), in_parts=not self._steps.repeated
            ),
            peak_memory_bytes=peak_memory(device),
            parameters=self._metered.parameters,
            curves=tuple(self._curves),
            environment=describe_environment(device, self._assignment.precision, self._assignment.command),
        )
