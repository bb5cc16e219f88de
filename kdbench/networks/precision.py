"""The precision that networks compute in."""

import torch

from kdbench.spec import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which networks compute in `precision`.

    Autocast's cache of weights is off: a module that a method trains between two forward passes of one context would
    be stale in it. No network is worse off, since one forward pass reads each weight once.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
