"""Tripwires: they notice honest mistakes of a method and end the run with a sentence that names mistake and line.

Whenever the code of a method calls the harness or returns to it, they compare everything that belongs to the harness.
They cannot stop a method in the same process that tries to deceive; `benchmark/PROTOCOL.md` lists what they do not see.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from kdbench.api import Batch, Method
from kdbench.methods.places import file_of, own_name, place_of_definition
from kdbench.networks.backbone import Backbone
from kdbench.training.failures import BudgetExceeded, RuleBroken
from kdbench.training.method_modules import MethodWatch
from kdbench.training.torch_settings import changed_setting, read_settings
from kdbench.training.watches import Breach, NetworkWatch, OptimizerWatch


class Turn:
    """Whether the code of the method or of the harness runs; hooks on networks refer only to this object of a training.

    Args:
        method: the stack is searched for its file.

    Attributes:
        of_method: whether the method's code runs.
        function: the method's function that the harness has called: "prepare" or "step".
        breach: the first breach; it is raised again at the end of the call if the method has caught it.
    """

    def __init__(self, method: type[Method]) -> None:
        self._method = method
        self._file = file_of(method)
        self.of_method = False
        self.function = ""
        self.breach: Breach | None = None

    def break_off(self, breach: Breach) -> NoReturn:
        """Raise a breach. Its sentence begins with a verb; the place and the function are put before it."""
        self.breach = type(breach)(f"{self._place()}`{own_name(self._method, self.function)}` {breach}")
        raise self.breach

    def _place(self) -> str:
        """Return "FILE:LINE: " of the method's innermost frame, else of its function's definition, else nothing."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}: "
            frame = frame.f_back
        return place_of_definition(self._method, own_name(self._method, self.function))


class Tripwires:
    """Watches what belongs to the harness while the code of a method runs.

    Args:
        method: the method that is watched.
        student: the network that is trained.
        teacher: None for a method that uses none.
        optimizer: of the student.
        schedule: of its learning rate.
        train_labels: the copy that the method has.
    """

    def __init__(
        self,
        method: Method,
        student: Backbone,
        teacher: Backbone | None,
        optimizer: Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        train_labels: Tensor,
    ) -> None:
        self._turn = Turn(type(method))
        self._student = NetworkWatch(student.model, "student")
        self._teacher = NetworkWatch(teacher.model, "teacher") if teacher else None
        self._optimizer, self._modules = OptimizerWatch(optimizer, schedule), MethodWatch(method)
        self._students = {id(parameter) for parameter in student.parameters()}
        self._train_labels, self._true_labels = train_labels, train_labels.clone()
        self._handed: list[tuple[str, Tensor, int]] = []
        self._thorough = False
        _guard_forward(student, "student", self._turn)
        if teacher:
            _guard_forward(teacher, "teacher", self._turn)

    @contextmanager
    def method_at_work(self, function: str, *, thorough: bool) -> Iterator[None]:
        """Let the method's code run, and check at the end whether it has kept the rules.

        Args:
            function: of the method: "prepare" or "step".
            thorough: whether to compare every weight, and not only the counters of PyTorch.

        Raises:
            BudgetExceeded, RuleBroken: it has not, even if the method caught this exception before.
        """
        self._turn.function, self._thorough = function, thorough
        settings, hook = read_settings(), register_optimizer_step_pre_hook(_optimizer_guard(self._students, self._turn))
        self._renew()
        if self._teacher:
            self._teacher.renew(thorough=thorough)
        self._turn.of_method = True
        try:
            yield
        except Exception as error:
            if self._turn.breach is not None and error is not self._turn.breach:
                raise self._turn.breach from error
            raise
        finally:
            self._turn.of_method = False
            hook.remove()
        if self._turn.breach is not None:
            raise self._turn.breach
        self._check(at_end=True)
        if changed := changed_setting(settings):
            self._turn.break_off(RuleBroken(f"changed the {changed}"))

    def refuse(self, breach: Breach) -> NoReturn:
        """End the run for what the method has done; the sentence of the breach begins with a verb."""
        self._turn.break_off(breach)

    @contextmanager
    def harness_at_work(self) -> Iterator[None]:
        """Check whether the method has kept the rules, then let the harness's code run, which the method has called."""
        if not self._turn.of_method:
            yield
            return
        self._check(at_end=False)
        self._turn.of_method = False
        try:
            yield
        except (BudgetExceeded, RuleBroken) as breach:
            if self._turn.breach is None:
                self._turn.break_off(breach)
            raise
        finally:
            self._turn.of_method = True
        self._renew()

    def hand_over(self, batch: Batch) -> None:
        """Watch the labels and positions of a batch from now on, instead of those of the previous batch."""
        self._handed = [(f"batch.{name}", value, value._version) for name, value in _facts_of(batch)]

    def _renew(self) -> None:
        self._student.renew(thorough=self._thorough)
        self._optimizer.renew()

    def _check(self, *, at_end: bool) -> None:
        breach = (
            self._student.breach(weights=True, whole=at_end)
            or (self._teacher and self._teacher.breach(weights=at_end, whole=at_end))
            or self._optimizer.breach()
            or (self._modules.breach() if at_end else None)
            or self._breach_of_labels(at_end)
        )
        if breach is not None:
            self._turn.break_off(breach)

    def _breach_of_labels(self, at_end: bool) -> Breach | None:
        for name, tensor, version in self._handed:
            if tensor._version != version:
                return RuleBroken(f"changed {name} in place; work on a copy")
        if at_end and self._thorough and not torch.equal(self._train_labels, self._true_labels):
            return RuleBroken("changed task.train_labels in place; work on a copy")
        return None


def _facts_of(batch: Batch) -> tuple[tuple[str, Tensor], ...]:
    return ("labels", batch.labels), ("index", batch.index)


def _guard_forward(network: Backbone, role: str, turn: Turn) -> None:
    """End the run when the method's code sends images through a network itself, past the harness's count.

    The compiler leaves the check out of compiled code, so it takes place before that, too.
    """

    def guard(_module: nn.Module, _inputs: Any) -> None:
        if not torch.compiler.is_compiling() and turn.of_method:
            turn.break_off(BudgetExceeded(f"ran the {role} outside of `{role}_forward`, which counts its images"))

    stem = next(network.model.children())
    for module in (network, stem):
        module.register_forward_pre_hook(guard)


def _optimizer_guard(students: set[int], turn: Turn) -> Callable[..., None]:
    """End the run when the method's code steps an optimiser that holds parameters of the student."""

    def guard(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if turn.of_method and any(id(p) in students for group in optimizer.param_groups for p in group["params"]):
            turn.break_off(BudgetExceeded("stepped an optimiser that holds parameters of the student"))

    return guard
