"""Compares what a repeated step and the same step run eagerly have computed."""

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

MOST_OF_CHANGE = 0.1  # largest difference as a share of what the step changed; noise of bfloat16 is a tenth of that
MOST_OF_SIZE = 1e-6  # and, for steps that change next to nothing, as a share of the tensors themselves
MOST_OF_LOSS = 0.02
LEAST_LOSS = 1e-3  # differences of the loss below this are noise

Tensors = Mapping[str, Tensor]


def disagreement(before: Tensors, eager: Tensors, repeated: Tensors, groups: Mapping[str, str]) -> str | None:
    """Return which group of tensors two computations of one step changed differently; None if both agree.

    Args:
        before: tensors by name, as they were before the step.
        eager: the same tensors after the step was run eagerly.
        repeated: the same tensors after the repetition of the captured step.
        groups: name of the group of each tensor; the tensors of a group are compared together.
    """
    squares: defaultdict[str, list[Tensor]] = defaultdict(list)
    for name, group in groups.items():
        difference = _difference(before[name], eager[name], repeated[name])
        squares[group].append(difference)
    if not squares:
        return None
    sums = torch.stack([torch.stack(group).sum(dim=0) for group in squares.values()]).tolist()
    return next((group for group, numbers in zip(squares, sums, strict=True) if not _is_noise(*numbers)), None)


def losses_agree(eager: float, repeated: float) -> bool:
    """Return whether two losses of one step differ by noise, or are both not finite."""
    if not math.isfinite(eager):
        return not math.isfinite(repeated)
    return abs(eager - repeated) <= MOST_OF_LOSS * abs(eager) + LEAST_LOSS


def _difference(before: Tensor, eager: Tensor, repeated: Tensor) -> Tensor:
    """Return (3,) float64: squares of the difference, of the eager change, and of the tensor."""
    if not eager.is_floating_point():
        numbers = [(eager != repeated).sum(), (eager != before).sum(), torch.zeros((), device=eager.device)]
        return torch.stack([number.double() for number in numbers])
    old, new, again = before.detach().float(), eager.detach().float(), repeated.detach().float()
    norms = [torch.linalg.vector_norm(tensor, dtype=torch.float32) for tensor in (new - again, new - old, new)]
    return torch.stack(norms).double().square()


def _is_noise(difference: float, change: float, size: float) -> bool:
    if not math.isfinite(difference):
        return not math.isfinite(size)
    return math.sqrt(difference) <= MOST_OF_CHANGE * math.sqrt(change) + MOST_OF_SIZE * math.sqrt(size)
