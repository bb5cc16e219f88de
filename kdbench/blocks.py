"""Building blocks of losses that several methods share; method files import them, as they import `kdbench.api`.

The digest of the code of a method that imports this module covers it, so every change here makes new runs of them all.
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def full_precision(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a function compute in float32 where the networks compute in bfloat16; float64 stays as it is.

    Its tensors in half precision are converted, and autocast, which rounds the operands of products, is off inside.
    Small differences between large sums, such as those of similarities, need this.
    """

    @wraps(function)
    def computed(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        devices = {value.device.type for value in (*args, *kwargs.values()) if isinstance(value, Tensor)}
        with torch.autocast(devices.pop() if devices else "cpu", enabled=False):
            return function(*map(_unhalved, args), **{name: _unhalved(value) for name, value in kwargs.items()})

    return computed


def _unhalved(value: Any) -> Any:
    """Return a tensor in half precision as float32, and anything else as it is."""
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value


@full_precision
def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher || student) at `temperature`, times its square, as the mean over the batch.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        temperature: above 0; divides both logits.

    Returns:
        Scalar, nats.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


class Decoupled(NamedTuple):
    """Log-probabilities of B images, split at the true class.

    Attributes:
        target: (B, 2), for the true class and for all others together.
        others: (B, C - 1), for each other class, given that the class is not the true one.
    """

    target: Tensor
    others: Tensor


@full_precision
def decouple(logits: Tensor, labels: Tensor, temperature: float) -> Decoupled:
    """Split the log-probabilities of (B, C) `logits` at `temperature` at the (B,) `labels`."""
    logits = logits / temperature
    label, other = labels[:, None], torch.arange(logits.shape[1] - 1, device=labels.device)
    others = logits.gather(1, other + (other >= label))
    sums = torch.stack([logits.gather(1, label)[:, 0], others.logsumexp(dim=1)], dim=1)
    return Decoupled(F.log_softmax(sums, dim=1), F.log_softmax(others, dim=1))


def on_common_grid(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return two maps on one grid: along each axis, the finer map is averaged to the positions of the coarser one.

    Args:
        student: (B, F_s, h_s, w_s) float.
        teacher: (B, F_t, h_t, w_t) float.

    Returns:
        (B, F_s, h, w) and (B, F_t, h, w), with the smaller h and w of the two.
    """
    grid = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return _averaged(student, grid), _averaged(teacher, grid)


def _averaged(feature_map: Tensor, grid: tuple[int, int]) -> Tensor:
    return feature_map if feature_map.shape[2:] == grid else F.adaptive_avg_pool2d(feature_map, grid)


def check_numbers(config: Any, *, from_zero: tuple[str, ...] = (), above_zero: tuple[str, ...] = ()) -> None:
    """Check settings that are numbers.

    Args:
        config: an instance of a method's `Config`.
        from_zero: names of the settings that may not be negative, such as weights.
        above_zero: names of the settings that must be positive, such as temperatures.

    Raises:
        ValueError: one of them is not, or is not finite.
    """
    for name in from_zero:
        if not 0 <= getattr(config, name) < math.inf:
            raise ValueError(f"{name} must be a number from 0, got {getattr(config, name)}")
    for name in above_zero:
        if not 0 < getattr(config, name) < math.inf:
            raise ValueError(f"{name} must be a number above 0, got {getattr(config, name)}")
