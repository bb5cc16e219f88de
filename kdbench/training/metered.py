"""The harness from the view of a method: metered forward passes, and one metered update per step."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.api import Batch, Losses, Method, Output, Task, Term
from kdbench.networks.backbone import Backbone
from kdbench.networks.precision import autocast
from kdbench.records import Budget
from kdbench.spec import BackboneSpec, Training
from kdbench.training.batches import Batches
from kdbench.training.capture.engine import engine_for
from kdbench.training.capture.readings import Readings
from kdbench.training.counts import Counts
from kdbench.training.epoch_means import EpochMeans
from kdbench.training.failures import BudgetExceeded, Diverged
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
        micro_batches: int = 1,
    ) -> None:
        self.student, self.teacher, self.method = student, teacher, method
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
        self._graph_images = 0
        self.micro_batches, self._part = micro_batches, 0
        self._preparing = False
        self._precision = training.precision_on(device.type)

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
        with self.stopwatch.part("student"), self._autocast(), torch.set_grad_enabled(not self._preparing):
            output: Output = self.student(images, self.method.needs)
        self.counts["student_forward_images"] += len(images)
        if output.logits.requires_grad:
            self._graph_images += len(images)
        return output

    @torch.no_grad()
    def teacher_forward(self, images: Tensor) -> Output:
        if self.teacher is None:
            raise RuntimeError(
                f"{type(self.method).__name__} sets uses_teacher = False but calls the teacher; set it to True"
            )
        with self.stopwatch.part("teacher"), self._autocast():
            output: Output = self.teacher(images, self.method.needs)
        self.counts["teacher_forward_images"] += len(images)
        return output

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
                    raise BudgetExceeded("`prepare` drew more than one pass over the training set")
                drawn += 1
                yield batch

    def prepare(self) -> None:
        """Run the method's own stage before training."""
        self._preparing = True
        self.student.eval()
        started = self.stopwatch.now()
        try:
            with self._autocast(), self._tripwires.method_at_work("prepare", thorough=True):
                self.method.prepare(MethodRun(self, self._tripwires, self.readings))
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
        before, run = self.step, MethodRun(self, self._tripwires, self.readings)
        thorough = self.thorough
        self.counts["examples"] += len(batch.index)
        for number, part in enumerate(self._parts(batch)):
            self._part = number
            self._tripwires.hand_over(part)
            with self._autocast(), self._tripwires.method_at_work("step", thorough=thorough):
                self.method.step(run, part)
        if self.step != before + 1:
            raise BudgetExceeded(
                f"one step must update the student once, but it updated the student {self.step - before} times"
            )

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        if self.micro_batches == 1:
            yield batch
            return
        self.log(micro_batches=self.micro_batches)
        for rows in torch.arange(len(batch.index), device=batch.index.device).chunk(self.micro_batches):
            yield Batch(images=batch.images[rows], labels=batch.labels[rows], index=batch.index[rows])

    def backward_and_step(self, losses: Losses) -> None:
        if self._preparing:
            raise BudgetExceeded("`prepare` may not update the student")
        if self.step >= self.total_steps:
            raise BudgetExceeded(
                f"the method updated the student more than {self.total_steps} times, which is the budget"
            )
        terms = losses if isinstance(losses, Mapping) else {"loss": losses}
        weighted = {name: t.value.float() * t.weight if isinstance(t, Term) else t.float() for name, t in terms.items()}
        if self.step % self._batches.per_epoch == 0 and self.micro_batches == 1:
            self._log_gradient_norms(weighted)
        total = torch.stack(list(weighted.values())).sum()
        with self.stopwatch.part("student"):
            if self._part == 0:
                self.optimizer.zero_grad(set_to_none=True)
            (total / self.micro_batches).backward()  # type: ignore[no-untyped-call]
            if self._part == self.micro_batches - 1:
                self._update()
        self.counts["student_backward_images"] += self._graph_images
        self._graph_images = 0
        for name, term in terms.items():
            if isinstance(term, Term):
                self.log(**{name: term.value, f"{name}_weighted": weighted[name]})
            else:
                self.log(**{name: term})
        self.log(loss=total)

    def _update(self) -> None:
        """Update the student with the summed gradient."""
        if self._training.gradient_clip:
            nn.utils.clip_grad_norm_(self._clipped, self._training.gradient_clip)
        self.optimizer.step()
        self.counts["steps"] += 1

    def _log_gradient_norms(self, weighted: Mapping[str, Tensor]) -> None:
        """Log the norm of each term's gradient on the student's trunk."""
        with self.stopwatch.part("diagnostics"):
            for name, term in weighted.items():
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
        """Number of the student's parameters."""
        return sum(parameter.numel() for parameter in self.student.parameters())

    @property
    def budget(self) -> Budget:
        return Budget(**self.counts)

    def read_counts(self) -> Counts:
        return Counts(dict(self.counts), dict(self.means.logged), self._graph_images)

    def set_counts(self, counts: Counts) -> None:
        for held, values in ((self.counts, counts.budget), (self.means.logged, counts.logged)):
            held.clear()
            held.update(values)
        self._graph_images = counts.graph_images

    def state(self) -> dict[str, Any]:
        """Return the state of the run for a checkpoint."""
        return {
            "student": self.student.state_dict(),
            "method": self.method.state_dict(),
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
        restore_optimizer(self.optimizer, state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for name, optimizer in self.own_optimizers.items():
            restore_optimizer(optimizer, state["own_optimizers"][name])
        self.counts.update(state["counts"])
        self.means.restore(state)
        for part, seconds in state["seconds"].items():
            self.stopwatch.add(part, seconds)
