"""AdamW and the learning-rate schedule of the spec."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from kdbench.spec import BackboneSpec


def make_optimizer(parameters: Iterable[nn.Parameter], backbone: BackboneSpec) -> torch.optim.AdamW:
    """AdamW at the family's learning rate; weight decay on matrices and kernels, none on biases and norms."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": backbone.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=backbone.learning_rate)


def rate_factor(step: int, total: int, warmup: float, *, warmup_ends_at_peak: bool = False) -> float:
    """Return the learning rate of an update relative to its peak: linear warm-up, then a cosine to zero.

    Args:
        step: number of the update, in [0, total).
        total: updates of the run.
        warmup: share of the updates that warm up.
        warmup_ends_at_peak: let the last update of the warm-up have the peak rate already, as the first one after it
            has; the shipped pretrained weights were made with this.

    Returns:
        A factor in (0, 1].
    """
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + (0 if warmup_ends_at_peak else 1))
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))
