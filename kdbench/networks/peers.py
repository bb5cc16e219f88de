"""Networks of the student's architecture that a method asks for, such as the peer in mutual learning."""

from collections.abc import Callable, Collection

from torch import nn

from kdbench.api import OutputField
from kdbench.networks.backbone import Backbone


class PeerBuilder:
    """Builds networks for a method while its `__init__` runs.

    Args:
        new: makes a network, given its number among those of the method, from 1.
        needs: the fields of the output that the method reads.

    Attributes:
        built: the networks that were built.
    """

    def __init__(self, new: Callable[[int], Backbone], needs: Collection[OutputField]) -> None:
        self._new, self._needs = new, frozenset(needs)
        self._closed = False
        self.built: list[Backbone] = []

    def build(self, network: str) -> nn.Module:
        """Return a new network.

        Args:
            network: "student", which names the architecture.

        Raises:
            ValueError: there is no network of this name.
            RuntimeError: the method has been made already.
        """
        if network != "student":
            raise ValueError(f'`task.build` can build "student", not {network!r}')
        if self._closed:
            raise RuntimeError("`task.build` works in `__init__` only, so that the network is trained and checkpointed")
        peer = self._new(len(self.built) + 1)
        peer.needs = self._needs
        self.built.append(peer)
        return peer

    def close(self) -> None:
        """Build no more networks from now on."""
        self._closed = True
