"""The moving average of a network's weights."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kdbench.networks.backbone import Backbone


class MovingAverage:
    """A network whose weights follow those of another one.

    Nothing in `follow` waits for the device or depends on numbers that change, so a captured step may contain it.

    Args:
        network: the average, in evaluation mode and without gradients; it gets the weights of `followed`.
        followed: the network that it follows; its tensors stay the same tensors.
        decay: in [0, 1); 1 minus the share of the distance that the average moves in each call of `follow`.
    """

    def __init__(self, network: Backbone, followed: Backbone, decay: float) -> None:
        self.network, self._share = network.eval().requires_grad_(False), 1 - decay
        network.load_state_dict(followed.state_dict())
        pairs = list(zip(_tensors(network), _tensors(followed), strict=True))
        self._numbers = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def follow(self) -> None:
        """Move every weight and statistic towards that of the followed network; counters are copied."""
        for average, present in self._numbers:
            average.lerp_(present.to(average.dtype), self._share)
        for average, present in self._counters:
            average.copy_(present)


def _tensors(network: Backbone) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
