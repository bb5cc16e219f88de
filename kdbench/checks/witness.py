"""A training whose every step is watched: which gradients arrive, and which weights move."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from kdbench.checks.bench import EPOCHS, Bench
from kdbench.methods.places import own_name, place_of_definition
from kdbench.networks.models import state_digest
from kdbench.training.capture.steps import EagerSteps
from kdbench.training.setup import set_up


@dataclass(frozen=True)
class Testimony:
    """What was seen in a watched training.

    Attributes:
        unreached: parameters of the student that no gradient but zero has reached, by name.
        unreached_of_method: likewise of the method.
        student_moved: whether every parameter of the student has changed.
        teacher_moved: whether anything in the teacher has changed.
    """

    unreached: tuple[str, ...]
    unreached_of_method: tuple[str, ...]
    student_moved: bool
    teacher_moved: bool


def watched(bench: Bench) -> Testimony:
    """Train a method for some steps and return what was seen; errors of the method and of the harness pass through."""
    setup = set_up(bench.assignment("watched"), bench.data)
    metered, steps = setup.metered, EagerSteps(setup.metered)
    student, method = (_Arrivals(network) for network in (metered.student, metered.method))
    before = [parameter.detach().clone() for parameter in metered.student.parameters()]
    digest = _digest(metered.teacher)
    steps.prepare()
    for epoch in range(EPOCHS):
        for batch in setup.batches.epoch(epoch):
            steps.take(batch)
        metered.take_means()
        metered.require_finite_weights()
    after = metered.student.parameters()
    return Testimony(
        unreached=tuple(sorted(student.missing)),
        unreached_of_method=tuple(sorted(method.missing)),
        student_moved=all(not torch.equal(old, new) for old, new in zip(before, after, strict=True)),
        teacher_moved=_digest(metered.teacher) != digest,
    )


def _digest(teacher: nn.Module | None) -> str:
    return state_digest(teacher) if teacher is not None else ""


class _Arrivals:
    """Notes which parameters of a module no gradient but zero has reached.

    Attributes:
        missing: their names.
    """

    def __init__(self, module: nn.Module) -> None:
        self.missing: set[str] = set()
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                self.missing.add(name)
                parameter.register_post_accumulate_grad_hook(self._noting(name))  # type: ignore[no-untyped-call]

    def _noting(self, name: str):  # type: ignore[no-untyped-def]
        def note(parameter: Tensor) -> None:
            if name in self.missing and parameter.grad is not None and parameter.grad.any():
                self.missing.discard(name)

        return note


def place_of_attribute(bench: Bench, name: str, file: Path) -> str:
    """Return "FILE:LINE: " of the line that sets an attribute of a method, else of its `__init__`."""
    attribute = re.compile(rf"\bself\.{re.escape(name.split('.', maxsplit=1)[0])}\b[^=]*=[^=]")
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if attribute.search(line):
            return f"{file.name}:{number}: "
    return place_of_definition(bench.method, "__init__")


def place_of_loss(bench: Bench) -> str:
    """Return "FILE:LINE: " of the function that computes the method's loss."""
    return place_of_definition(bench.method, own_name(bench.method, "step"))
