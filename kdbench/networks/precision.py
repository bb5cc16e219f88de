"""The precision of the networks' computations."""

import torch

from kdbench.spec import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which networks compute in `precision`.

    The cache of weights in autocast is switched off: if a method trains a module between two forward passes in one
    context, its cached weights would be outdated. This costs nothing, since a forward pass reads each weight once.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
