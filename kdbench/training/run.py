"""The harness as a method sees it: metered forwards, one metered update a step."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from kdbench.api import Batch, Losses, Method, Output, Term
from kdbench.networks.backbone import Backbone
from kdbench.networks.precision import autocast
from kdbench.records import Budget
from kdbench.spec import BackboneSpec, Training
from kdbench.training.batches import Batches
from kdbench.training.optimisation import make_optimizer, rate_factor
from kdbench.training.stopwatch import Stopwatch


class BudgetExceeded(Exception):
    """The method drew or updated more than the budget allows; the message says what."""


class Diverged(Exception):
    """A loss is not finite any more; the message says which and when."""


class MeteredRun:
    """Implements `kdbench.api.Run` for one training.

    Args:
        student, teacher: networks on the device; no teacher for methods that use none.
        method: on the device too.
        batches: where training images come from.
        training, backbone: recipe of the track and of the student's family.
        total_steps: updates that the budget allows.
        stopwatch: where time is added up.
        micro_batches: equal parts of a batch that are worked on one after the other, their gradients added up; more
            than 1 only where `kdbench.training.memory` allows it.
    """

    def __init__(
        self,
        *,
        student: Backbone,
        teacher: Backbone | None,
        method: Method,
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
        self.own_optimizers = dict(method.optimizers())
        self.optimizer = make_optimizer(self._trained_parameters(), backbone)
        classifier = {id(p) for p in cast(Any, student.model).get_classifier().parameters()}
        self._trunk = [p for p in student.parameters() if id(p) not in classifier]
        self._clipped = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: rate_factor(min(step, total_steps - 1), total_steps, training.warmup)
        )
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._sums: defaultdict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
        self._logged: defaultdict[str, int] = defaultdict(int)
        self._graph_images = 0
        self._micro_batches, self._part = micro_batches, 0
        self._preparing = False
        self._precision = training.precision_on(device.type)

    def _trained_parameters(self) -> list[nn.Parameter]:
        students = {id(p) for p in self.student.parameters()}
        owned: set[int] = set()
        for name, optimizer in self.own_optimizers.items():
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            if held & students:
                raise BudgetExceeded(
                    f"optimizer {name!r} holds parameters of the student, which only the harness updates"
                )
            owned |= held
        return [*self.student.parameters(), *(p for p in self.method.parameters() if id(p) not in owned)]

    @property
    def step(self) -> int:
        return self.counts["steps"]

    @property
    def epoch(self) -> int:
        return self.step // self._batches.per_epoch

    @property
    def progress(self) -> float:
        return self.step / self.total_steps

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
                f"{type(self.method).__name__} sets uses_teacher = False but asks for the teacher's output"
            )
        with self.stopwatch.part("teacher"), self._autocast():
            output: Output = self.teacher(images, self.method.needs)
        self.counts["teacher_forward_images"] += len(images)
        return output

    def batches(self, n: int) -> Iterator[Batch]:
        if not self._preparing:
            raise RuntimeError("only `prepare` may draw batches; `step` is handed its batch")
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
        """Runs the method's own stage before training."""
        self._preparing = True
        self.student.eval()
        started = self.stopwatch.now()
        try:
            with self._autocast():
                self.method.prepare(self)
        finally:
            self.stopwatch.add("prepare", self.stopwatch.now() - started)
        self.student.train()
        self._preparing = False

    def train_on(self, batch: Batch) -> None:
        """One step of the method, which must update the student exactly once."""
        before = self.step
        self.counts["examples"] += len(batch.index)
        for number, part in enumerate(self._parts(batch)):
            self._part = number
            with self._autocast():
                self.method.step(self, part)
        if self.step != before + 1:
            raise BudgetExceeded(f"a step must update the student once, it did {self.step - before} times")

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        if self._micro_batches == 1:
            yield batch
            return
        self.log(micro_batches=self._micro_batches)
        for rows in torch.arange(len(batch.index), device=batch.index.device).chunk(self._micro_batches):
            yield Batch(images=batch.images[rows], labels=batch.labels[rows], index=batch.index[rows])

    def backward_and_step(self, losses: Losses) -> None:
        if self._preparing:
            raise BudgetExceeded("`prepare` may not update the student")
        if self.step >= self.total_steps:
            raise BudgetExceeded(f"more than {self.total_steps} updates of the student")
        terms = losses if isinstance(losses, Mapping) else {"loss": losses}
        weighted = {name: t.value.float() * t.weight if isinstance(t, Term) else t.float() for name, t in terms.items()}
        if self.step % self._batches.per_epoch == 0 and self._micro_batches == 1:
            self._log_gradient_norms(weighted)
        total = torch.stack(list(weighted.values())).sum()
        with self.stopwatch.part("student"):
            if self._part == 0:
                self.optimizer.zero_grad(set_to_none=True)
            (total / self._micro_batches).backward()  # type: ignore[no-untyped-call]
            if self._part == self._micro_batches - 1:
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
        """Takes a step along the gradient that has been added up."""
        if self._training.gradient_clip:
            nn.utils.clip_grad_norm_(self._clipped, self._training.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.counts["steps"] += 1

    def _log_gradient_norms(self, weighted: Mapping[str, Tensor]) -> None:
        """Records the norm of each term's gradient on the student's trunk; the graph stays for the update."""
        with self.stopwatch.part("diagnostics"):
            for name, term in weighted.items():
                norm = torch.zeros((), device=self._device)
                if term.requires_grad:
                    gradients = torch.autograd.grad(term, self._trunk, retain_graph=True, allow_unused=True)
                    norms = [torch.linalg.vector_norm(g.float()) for g in gradients if g is not None]
                    norm = torch.linalg.vector_norm(torch.stack([norm, *norms]))
                self.log(**{f"gradient_norm_{name}": norm})

    def log(self, **scalars: float | Tensor) -> None:
        for name, value in scalars.items():
            self._sums[name] += value.detach().float() if isinstance(value, Tensor) else value
            self._logged[name] += 1

    def take_means(self) -> dict[str, float]:
        """Means of all that was logged since the last call. Diverged if one is not finite."""
        means = {name: (total / self._logged[name]).item() for name, total in self._sums.items()}
        self._sums.clear()
        self._logged.clear()
        for name, value in means.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"{name} was not finite in the epoch that ended at step {self.step} of {self.total_steps}"
                )
        return means

    @property
    def budget(self) -> Budget:
        return Budget(**self.counts)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the run."""
        return {
            "student": self.student.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "own_optimizers": {name: optimizer.state_dict() for name, optimizer in self.own_optimizers.items()},
            "counts": dict(self.counts),
            "sums": dict(self._sums),
            "logged": dict(self._logged),
            "seconds": self.stopwatch.read(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to where a checkpoint was taken."""
        self.student.load_state_dict(state["student"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for name, optimizer in self.own_optimizers.items():
            optimizer.load_state_dict(state["own_optimizers"][name])
        self.counts.update(state["counts"])
        self._sums.update({name: total.to(self._device) for name, total in state["sums"].items()})
        self._logged.update(state["logged"])
        for part, seconds in state["seconds"].items():
            self.stopwatch.add(part, seconds)
