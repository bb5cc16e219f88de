"""Moves networks to a device and chooses the memory layout of weights and images. No other module decides this."""

import torch

from kdbench.networks.backbone import Backbone
from kdbench.spec import Family


def memory_format(family: Family) -> torch.memory_format:
    """Return the order of the axes in memory of a family's weights and images: channels last for CNNs."""
    return torch.channels_last if family == "cnn" else torch.contiguous_format


def placed(backbone: Backbone, device: torch.device) -> Backbone:
    """Move a backbone to a device, in the memory format of its family, and return it."""
    return backbone.to(device, memory_format=memory_format(backbone.family))  # type: ignore[call-overload,no-any-return]
