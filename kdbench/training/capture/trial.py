"""Tries a repetition of a captured step and undoes it, so that it can be compared with the step itself."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from kdbench.training.capture.agreement import disagreement, losses_agree
from kdbench.training.capture.engine import Engine
from kdbench.training.capture.subject import groups_of

LOSS = "logged.loss"
Tensors = Mapping[str, Tensor]


def tried(repeat: Callable[[], None], tensors: Tensors, engine: Engine) -> tuple[Tensors, Tensors]:
    """Return copies of tensors before and after a repetition, which is undone in any case.

    Args:
        repeat: computes the captured step.
        tensors: everything that a step may change, by name.
        engine: of the capture.
    """
    start, random = _copies(tensors), engine.random_state()
    repeat()
    try:
        return start, _copies(tensors)
    finally:
        _fill(tensors, start)
        engine.set_random_state(random)


def difference(start: Tensors, eager: Tensors, repeated: Tensors) -> str | None:
    """Return in what two computations of a step differ by more than noise, or None.

    Args:
        start: tensors before the step.
        eager: the same tensors after the step was run eagerly.
        repeated: the same tensors after the repetition.
    """
    loss = [float(tensors[LOSS] - start[LOSS]) for tensors in (eager, repeated)]
    if not losses_agree(*loss):
        return f"its loss ({loss[1]:.4g} and {loss[0]:.4g})"
    groups = {name: group for name, group in groups_of(eager).items() if not name.startswith("logged.")}
    return disagreement(start, eager, repeated, groups)


def _copies(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def _fill(tensors: Tensors, contents: Tensors) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(contents[name])
