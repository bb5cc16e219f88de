"""The harness from the view of a method: metered forward passes, and one metered update per step."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.api import Batch, Losses, Method, Output, Task, Term
from kdbench.networks.backbone import Backbone
from kdbench.networks.moving_average import MovingAverage
from kdbench.networks.precision import autocast
from kdbench.records import Budget
from kdbench.spec import BackboneSpec, Training
from kdbench.training.batches import Batches
from kdbench.training.capture.engine import engine_for
from kdbench.training.capture.readings import Readings
from kdbench.training.counts import Counts
from kdbench.training.epoch_means import EpochMeans
from kdbench.training.failures import BudgetExceeded, Diverged
from kdbench.training.losses import terms_of, weighted
from kdbench.training.method_run import MethodRun
from kdbench.training.optimisation import (
    gradient_norm,
    keep_rate_in_tensors,
    make_capturable,
    make_optimizer,
    make_schedule,
    restore_optimizer,
    trunk_of,
)
from kdbench.training.passes import Passes
from kdbench.training.stopwatch import Stopwatch
from kdbench.training.tripwires import Tripwires

THOROUGH_EVERY = 8  # all weights are compared in every eighth step, and in the first and last step of an epoch


class MeteredRun:
    """Implements `kdbench.api.Run` for one training; the method gets a `MethodRun`, which passes its calls on.

    Args:
        student: the network to train, on the device.
        teacher: on the device; None for methods that use none.
        method: on the device.
        task: of the method; its labels are a copy.
        batches: of the training set.
        training: settings of the track.
        backbone: settings of the student's family.
        total_steps: number of updates that the budget allows.
        stopwatch: sums up the seconds of each part.
        device: of all tensors.
        peers: networks of the student's architecture that the method has built.
        average: the moving average of the student, if the method has one.
        micro_batches: number of equal parts of a batch that are processed one after the other, with their gradients
            summed; more than 1 only if `kdbench.training.memory` allows it.

    Attributes:
        engine: captures steps on the device; None where steps cannot be captured.
        readings: notices what the method does with the numbers of the run.
        means: of the numbers that are logged.
    """

    def __init__(
        self,
        *,
        student: Backbone,
        teacher: Backbone | None,
        method: Method,
        task: Task,
        batches: Batches,
        training: Training,
        backbone: BackboneSpec,
        total_steps: int,
        stopwatch: Stopwatch,
        device: torch.device,
        peers: Sequence[Backbone] = (),
        average: MovingAverage | None = None,
        micro_batches: int = 1,
    ) -> None:
        self.student, self.teacher, self.method = student, teacher, method
        self.average, self._peers = average, peers
        self.stopwatch, self.total_steps = stopwatch, total_steps
        self._batches, self._training, self._device = batches, training, device
        self.engine, self.readings = engine_for(device), Readings()
        self.own_optimizers = dict(method.optimizers())
        capturable = self.engine is not None
        self.optimizer = make_optimizer(student, method, self.own_optimizers, backbone, capturable=capturable)
        self._trunk = trunk_of(student)
        self._clipped = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.schedule = make_schedule(self.optimizer, total_steps, training.warmup)
        if capturable:
            keep_rate_in_tensors(self.optimizer)
            for optimizer in self.own_optimizers.values():
                make_capturable(optimizer)
        self._tripwires = Tripwires(method, student, teacher, self.optimizer, self.schedule, task.train_labels)
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.means = EpochMeans(device)
        self._precision = training.precision_on(device.type)
        self._passes = Passes(
            student=student,
            teacher=teacher,
            average=average,
            peers=peers,
            method=method,
            counts=self.counts,
            stopwatch=stopwatch,
            precision=self._precision,
            device=device,
        )
        self.micro_batches, self._part = micro_batches, 0
        self._preparing = False

    @property
    def step(self) -> int:
        return self.counts["steps"]

    @property
    def epoch(self) -> int:
        return self.step // self._batches.per_epoch

    @property
    def progress(self) -> float:
        return self.step / self.total_steps

    @property
    def steps_per_epoch(self) -> int:
        return self._batches.per_epoch

    @property
    def thorough(self) -> bool:
        """Whether the next step compares all weights, for which the host waits for the device."""
        place = self.step % self.steps_per_epoch
        return place % THOROUGH_EVERY == 0 or place == self.steps_per_epoch - 1

    def _autocast(self) -> torch.autocast:
        return autocast(self._precision, self._device)

    def student_forward(self, images: Tensor) -> Output:
        return self._passes.student(images, with_gradient=not self._preparing)

    def teacher_forward(self, images: Tensor) -> Output:
        return self._passes.teacher(images)

    def ema_forward(self, images: Tensor) -> Output:
        return self._passes.average(images)

    def batches(self, n: int) -> Iterator[Batch]:
        if not self._preparing:
            raise RuntimeError("only `prepare` may draw batches; use the batch that `step` receives")
        drawn = 0
        for epoch in range(n // self._batches.per_epoch + 1):
            for batch in self._batches.epoch(epoch, stage="prepare"):
                if drawn == n:
                    return
                self.counts["prepare_examples"] += len(batch.index)
                if self.counts["prepare_examples"] > len(self._batches.labels):
                    raise BudgetExceeded("drew more than one pass over the training set")
                drawn += 1
                yield batch

    def prepare(self) -> None:
        """Run the method's own stage before training."""
        self._preparing = True
        self.student.eval()
        started = self.stopwatch.now()
        try:
            with self._autocast(), self._method_at_work("prepare", thorough=True) as run:
                self.method.prepare(run)
        finally:
            self.stopwatch.add("prepare", self.stopwatch.now() - started)
        self.student.train()
        self._preparing = False

    def train_on(self, batch: Batch) -> None:
        """Run one step of the method, then set the learning rate of the next one."""
        self.update_on(batch)
        self.schedule.step()

    def update_on(self, batch: Batch) -> None:
        """Run one step of the method, which must update the student exactly once."""
        before, thorough = self.step, self.thorough
        self.counts["examples"] += len(batch.index)
        for number, part in enumerate(self._parts(batch)):
            self._part = number
            self._tripwires.hand_over(part)
            with self._autocast(), self._method_at_work("step", thorough=thorough) as run:
                self.method.step(run, part)
        if self.step != before + 1:
            self._tripwires.refuse(
                BudgetExceeded(f"must update the student once, but updated it {self.step - before} times")
            )

    @contextmanager
    def _method_at_work(self, function: str, *, thorough: bool) -> Iterator[MethodRun]:
        """Let the method's code run, and give it the interface of the harness as an argument and as `self.run`.

        The method refers to the run for that time only, so that both are freed at the end of the training.
        """
        run = MethodRun(self, self._tripwires, self.readings)
        self.method._run = run
        try:
            with self._tripwires.method_at_work(function, thorough=thorough):
                yield run
        finally:
            self.method._run = None

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        if self.micro_batches == 1:
            yield batch
            return
        self.log(micro_batches=self.micro_batches)
        for rows in torch.arange(len(batch.index), device=batch.index.device).chunk(self.micro_batches):
            yield Batch(images=batch.images[rows], labels=batch.labels[rows], index=batch.index[rows])

    def backward_and_step(self, losses: Losses) -> None:
        if self._preparing:
            raise BudgetExceeded("may not update the student")
        if self.step >= self.total_steps:
            raise BudgetExceeded(f"updated the student more than {self.total_steps} times, which is the budget")
        terms = terms_of(losses)
        parts = {name: weighted(term) for name, term in terms.items()}
        if self.step % self._batches.per_epoch == 0 and self.micro_batches == 1:
            self._log_gradient_norms(parts)
        total = torch.stack(list(parts.values())).sum()
        with self.stopwatch.part("student"):
            if self._part == 0:
                self.optimizer.zero_grad(set_to_none=True)
            (total / self.micro_batches).backward()  # type: ignore[no-untyped-call]
            if self._part == self.micro_batches - 1:
                self._update()
        self._passes.tally.backward()
        for name, term in terms.items():
            if isinstance(term, Term):
                self.log(**{name: term.value, f"{name}_weighted": parts[name]})
            else:
                self.log(**{name: term})
        self.log(loss=total)

    def _update(self) -> None:
        """Update the student with the summed gradient."""
        if self._training.gradient_clip:
            nn.utils.clip_grad_norm_(self._clipped, self._training.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.follow()
        self.counts["steps"] += 1

    def _log_gradient_norms(self, parts: Mapping[str, Tensor]) -> None:
        """Log the norm of each term's gradient on the student's trunk."""
        with self.stopwatch.part("diagnostics"):
            for name, term in parts.items():
                self.log(**{f"gradient_norm_{name}": gradient_norm(term, self._trunk)})

    def log(self, **scalars: float | Tensor) -> None:
        self.means.add(scalars)

    def take_means(self) -> dict[str, float]:
        """Return the means of all numbers that were logged since the last call.

        Raises:
            Diverged: one of them is not finite.
        """
        means = self.means.take()
        for name, value in means.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"{name} was not finite in the epoch that ended at step {self.step} of {self.total_steps}"
                )
        return means

    def require_finite_weights(self) -> None:
        """Raise `Diverged` if a weight or a buffer of the student is not finite."""
        for name, tensor in self.student.model.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise Diverged(
                    f"the student's {name} was not finite at the end of the epoch that ended at step {self.step} of "
                    f"{self.total_steps}"
                )

    @property
    def parameters(self) -> int:
        """Number of the parameters of the student and of the networks that are built like it."""
        return sum(p.numel() for network in (self.student, *self._peers) for p in network.parameters())

    @property
    def budget(self) -> Budget:
        return Budget(**self.counts)

    def read_counts(self) -> Counts:
        return Counts(dict(self.counts), dict(self.means.logged), self._passes.tally.graph_images)

    def set_counts(self, counts: Counts) -> None:
        for held, values in ((self.counts, counts.budget), (self.means.logged, counts.logged)):
            held.clear()
            held.update(values)
        self._passes.tally.graph_images = counts.graph_images

    def state(self) -> dict[str, Any]:
        """Return the state of the run for a checkpoint."""
        return {
            "student": self.student.state_dict(),
            "method": self.method.state_dict(),
            "average": self.average.network.state_dict() if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "own_optimizers": {name: optimizer.state_dict() for name, optimizer in self.own_optimizers.items()},
            "counts": dict(self.counts),
            **self.means.state(),
            "seconds": self.stopwatch.read(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.student.load_state_dict(state["student"])
        self.method.load_state_dict(state["method"])
        if self.average is not None:
            self.average.network.load_state_dict(state["average"])
        restore_optimizer(self.optimizer, state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for name, optimizer in self.own_optimizers.items():
            restore_optimizer(optimizer, state["own_optimizers"][name])
        self.counts.update(state["counts"])
        self.means.restore(state)
        for part, seconds in state["seconds"].items():
            self.stopwatch.add(part, seconds)
