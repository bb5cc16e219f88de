"""One training from start to end, resumable at its last checkpoint."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdbench.api import Method, Task
from kdbench.data.training_sets import TrainingSet
from kdbench.methods.tasks import make_task
from kdbench.networks.backbone import Backbone, compile_parts
from kdbench.networks.device import forget_peak_memory, free_memory, peak_memory
from kdbench.networks.models import head_seed, new_backbone, read_weights, state_digest, write_weights
from kdbench.networks.placement import memory_format, placed
from kdbench.networks.precision import autocast
from kdbench.randomness import seed_of
from kdbench.records import WEIGHTS, Status
from kdbench.records.environment import describe_environment
from kdbench.spec import Family, TeacherBias, Track
from kdbench.training.batches import Batches
from kdbench.training.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint
from kdbench.training.memory import GIB, TooLittleMemory, plan_split, shortage_by_one_name
from kdbench.training.outcome import Tally, TrainingOutcome, timing_of, write_outcome
from kdbench.training.run import BudgetExceeded, Diverged, MeteredRun
from kdbench.training.snapshots import snapshot_path, snapshot_steps
from kdbench.training.stopwatch import Stopwatch

CHECKPOINT_SECONDS = 30.0
CHECKPOINT_SPACING = 20  # times as long as saving one takes, at least: those of big networks are big
WARM_UP_STEPS = 3
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Assignment:
    """What to train.

    Attributes:
        track: the track as it is run, overrides included.
        role: students share initialisation and data order within a seed; teachers have streams of their own.
        family: of the network to train.
        bias: a teacher's planted bias; None for students.
        seed: the run's random seed.
        method_class, config: the submission, and an instance of its `Config`.
        teacher_family, teacher_weights: the trained teacher, when the method uses one.
        folder: where weights, checkpoint and outcome go.
        device: "cpu" or "cuda".
        snapshots: weights to keep along the way, at the steps of `snapshot_steps`.
        compiled: the networks run through torch.compile.
        weights_dir: folder of pretrained weights that do not ship; None for the one in the cache.
        command: the command line that asked for the run, for the record.
    """

    track: Track
    role: str
    family: Family
    bias: TeacherBias | None
    seed: int
    method_class: type[Method]
    config: Any
    teacher_family: Family | None
    teacher_weights: Path | None
    folder: Path
    device: str
    snapshots: int = 0
    compiled: bool = False
    weights_dir: Path | None = None
    command: str = ""

    @property
    def epochs(self) -> int:
        training = self.track.training
        return training.teacher_epochs if self.role == "teacher" else training.student_epochs

    @property
    def stream(self) -> tuple[str | int, ...]:
        return (
            "batches",
            self.track.name,
            self.role,
            self.family if self.role == "teacher" else "",
            self.bias or "",
            self.seed,
        )


def train(assignment: Assignment, data: TrainingSet, progress: Progress, tally: Tally | None = None) -> TrainingOutcome:
    """Trains, then writes the weights and the outcome into the assignment's folder.

    A loss that is not finite, a budget overdrawn and memory that runs out are outcomes, with all that was counted until
    then; any other error is raised, and what was counted is in the `tally`. A batch that does not fit the device is
    split where that is allowed.
    """
    tally = Tally() if tally is None else tally
    try:
        with shortage_by_one_name():
            outcome = _within_memory(assignment, data, progress, tally)
    except Diverged as error:
        outcome = tally.failed("diverged", str(error))
    except BudgetExceeded as error:
        outcome = tally.failed("over_budget", str(error))
    except TooLittleMemory as error:
        outcome = tally.failed("oom", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        outcome = tally.failed("oom", f"memory ran out: {error}")
    write_outcome(assignment.folder, outcome)
    remove_checkpoint(assignment.folder)
    return outcome


def _within_memory(assignment: Assignment, data: TrainingSet, progress: Progress, tally: Tally) -> TrainingOutcome:
    """Trains on whole batches, or on their parts if the device has no room for the whole."""
    with (
        contextlib.suppress(torch.OutOfMemoryError),
        shortage_by_one_name(),
    ):  # what is below runs after the first attempt's memory is freed
        return _Training(assignment, data).run(progress, tally)
    device = torch.device(assignment.device)
    student = new_backbone(assignment.track, assignment.family, seed=0, pretrained=False)
    split = plan_split(
        assignment.method_class,
        student,
        assignment.track.training.batch_size,
        lambda images: step_memory(assignment, data, images),
        free_memory(device),
    )
    print(f"a step takes about {split.needed_bytes / GIB:.1f} GiB: its batch is split into {split.micro_batches} parts")
    return _Training(assignment, data, split.micro_batches).run(progress, tally)


def step_memory(assignment: Assignment, data: TrainingSet, images: int) -> int:
    """Most bytes of the device that a step with so many images holds at once, measured on one that is thrown away."""
    training = assignment.track.training.model_copy(update={"batch_size": images})
    smaller = replace(assignment, track=assignment.track.model_copy(update={"training": training}))
    device = torch.device(assignment.device)
    forget_peak_memory(device)
    trial = _Training(smaller, data)
    trial.metered.train_on(next(trial.batches.epoch(0)))
    return peak_memory(device)


class _Training:
    def __init__(self, assignment: Assignment, data: TrainingSet, micro_batches: int = 1) -> None:
        self.assignment = assignment
        self.device = torch.device(assignment.device)
        self.precision = assignment.track.training.precision_on(assignment.device)
        if self.device.type == "cuda" or assignment.compiled:
            self._warm_up(assignment.track.training.batch_size // micro_batches)
        self.stopwatch = Stopwatch(self.device)
        self.batches = self._make_batches(data)
        student = self._network(assignment.family, assignment.role)
        teacher = self._teacher()
        task = self._task(student, teacher)
        self._compile(student, teacher)
        torch.manual_seed(seed_of("method", assignment.track.name, assignment.method_class.name, assignment.seed))
        method = assignment.method_class(task, assignment.config).to(self.device)
        self.metered = MeteredRun(
            student=student.train(),
            teacher=teacher,
            method=method.train(),
            batches=self.batches,
            training=assignment.track.training,
            backbone=assignment.track.backbones[assignment.family],
            total_steps=task.total_steps,
            stopwatch=self.stopwatch,
            device=self.device,
            micro_batches=micro_batches,
        )
        self.curves: list[dict[str, float]] = []
        self.epoch_seconds: list[float] = []
        self._interrupted = 0.0  # seconds of the epoch under way, before an interruption
        self._epoch_start: float | None = None
        self._checkpoint_interval = CHECKPOINT_SECONDS

    def _warm_up(self, images: int) -> None:
        """Makes the device load its libraries and choose its kernels, and the compiler compile, on networks that are
        thrown away, before the clock runs."""
        assignment, size = self.assignment, self.assignment.track.data.image_size
        batch = torch.zeros(images, 3, size, size, device=self.device)
        batch = batch.contiguous(memory_format=memory_format(assignment.family))
        self._exercise(assignment.family, batch, learns=True)
        if assignment.teacher_family is not None:
            self._exercise(assignment.teacher_family, batch, learns=False)
        forget_peak_memory(self.device)

    def _exercise(self, family: Family, images: Tensor, *, learns: bool) -> None:
        """Some steps of a student on images (B, 3, H, H), or of a teacher, which does not learn."""
        network = placed(new_backbone(self.assignment.track, family, seed=0, pretrained=False), self.device)
        network.train(learns).requires_grad_(learns)
        self._compile(network)
        for _ in range(WARM_UP_STEPS):
            with autocast(self.precision, self.device), torch.set_grad_enabled(learns):
                logits = network(images).logits
            if learns:
                logits.float().sum().backward()

    def _make_batches(self, data: TrainingSet) -> Batches:
        track = self.assignment.track
        return Batches(
            data,
            track.data,
            track.augmentation,
            batch_size=track.training.batch_size,
            stream=self.assignment.stream,
            device=self.device,
            memory_format=memory_format(self.assignment.family),
        )

    def _network(self, family: Family, role: str) -> Backbone:
        seed = head_seed(self.assignment.track.name, role, family, self.assignment.seed, self.assignment.bias)
        backbone = new_backbone(self.assignment.track, family, seed=seed, weights_dir=self.assignment.weights_dir)
        return placed(backbone, self.device)

    def _teacher(self) -> Backbone | None:
        assignment = self.assignment
        if assignment.teacher_weights is None or assignment.teacher_family is None:
            return None
        teacher = new_backbone(assignment.track, assignment.teacher_family, seed=0, pretrained=False)
        teacher.model.load_state_dict(read_weights(assignment.teacher_weights), strict=True)
        return placed(teacher, self.device).eval().requires_grad_(False)

    def _compile(self, *networks: Backbone | None) -> None:
        """Compiles networks in a run that is to be compiled."""
        for network in networks:
            if network is not None and self.assignment.compiled:
                compile_parts(network)

    def _task(self, student: Backbone, teacher: Backbone | None) -> Task:
        track = self.assignment.track
        return make_task(
            track,
            self.batches.labels,
            teacher=teacher.shapes(track.data.image_size) if teacher else None,
            student=student.shapes(track.data.image_size),
            epochs=self.assignment.epochs,
            seed=self.assignment.seed,
            device=self.device,
        )

    def run(self, progress: Progress, tally: Tally) -> TrainingOutcome:
        """Trains to the end. Where that fails, `tally` gets what was counted, and the error is raised."""
        student = self.metered.student.model
        try:
            self._train(progress)
        except Exception:
            with contextlib.suppress(RuntimeError):  # a device that failed may not even tell the time any more
                tally.counted = self._outcome("error")
            raise
        write_weights(self.assignment.folder / WEIGHTS, student)
        return self._outcome("ok").model_copy(update={"weights": state_digest(student)})

    def _train(self, progress: Progress) -> None:
        metered = self.metered
        teacher_before = state_digest(metered.teacher) if metered.teacher else ""
        saved = load_checkpoint(self.assignment.folder)
        if saved is None:
            self._prepare()
        else:
            metered.restore(saved)
            self.curves, self.epoch_seconds = saved["curves"], saved["epoch_seconds"]
            self._interrupted = saved["epoch_elapsed"]
        self._epochs(progress)
        if metered.teacher and state_digest(metered.teacher) != teacher_before:
            raise BudgetExceeded("the method changed the teacher's weights or buffers")

    def _prepare(self) -> None:
        before = state_digest(self.metered.student)
        self.metered.prepare()
        if state_digest(self.metered.student) != before:
            raise BudgetExceeded("`prepare` changed the student")

    def _epochs(self, progress: Progress) -> None:
        """Trains what is left."""
        metered, per_epoch = self.metered, self.batches.per_epoch
        while metered.step < metered.total_steps:
            last_saved, self._epoch_start = self.stopwatch.glance(), self._worked()
            batches = self.batches.epoch(metered.epoch, first=metered.step % per_epoch)
            while True:
                with self.stopwatch.part("data"):
                    batch = next(batches, None)
                if batch is None:
                    break
                metered.train_on(batch)
                self._keep_snapshots()
                progress(metered.step, metered.total_steps)
                if self.stopwatch.glance() - last_saved > self._checkpoint_interval and metered.step % per_epoch:
                    self._checkpoint()
                    last_saved = self.stopwatch.glance()
            self._end_epoch()

    def _end_epoch(self) -> None:
        self.epoch_seconds.append(self._under_way())
        self._interrupted, self._epoch_start = 0.0, None
        rate = self.metered.schedule.get_last_lr()[0]
        means = self.metered.take_means()
        self.curves.append({**means, "learning_rate": float(rate), "seconds": self.epoch_seconds[-1]})
        self._checkpoint()

    def _keep_snapshots(self) -> None:
        steps = snapshot_steps(self.metered.total_steps, self.assignment.snapshots)
        for number, step in enumerate(steps, start=1):
            if step == self.metered.step:
                write_weights(snapshot_path(self.assignment.folder, number), self.metered.student.model)

    def _under_way(self) -> float:
        """Seconds of the epoch that has begun, those before an interruption included; 0 between epochs."""
        return self._interrupted + (0.0 if self._epoch_start is None else self._worked() - self._epoch_start)

    def _worked(self) -> float:
        """Seconds on the clock without those of diagnostics and checkpoints, which no method is charged for."""
        now, seconds = self.stopwatch.now(), self.stopwatch.read()
        return now - seconds.get("diagnostics", 0.0) - seconds.get("checkpoints", 0.0)

    def _checkpoint(self) -> None:
        progress = {"curves": self.curves, "epoch_seconds": self.epoch_seconds, "epoch_elapsed": self._under_way()}
        started = self.stopwatch.now()
        size = {"parameters": self._parameters(), "peak_memory_bytes": peak_memory(self.device)}
        save_checkpoint(self.assignment.folder, {**self.metered.state(), **progress, **size})
        seconds = self.stopwatch.now() - started
        self.stopwatch.add("checkpoints", seconds)
        self._checkpoint_interval = max(CHECKPOINT_SECONDS, CHECKPOINT_SPACING * seconds)

    def _parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.metered.student.parameters())

    def _outcome(self, status: Status) -> TrainingOutcome:
        """What has been counted until now."""
        return TrainingOutcome(
            status=status,
            budget=self.metered.budget,
            timing=timing_of(self.stopwatch.read(), self.epoch_seconds, self._under_way()),
            peak_memory_bytes=peak_memory(self.device),
            parameters=self._parameters(),
            curves=tuple(self.curves),
            environment=describe_environment(self.device, self.precision, self.assignment.command),
        )
