"""The pooled features of networks on clean images: the input of the classifier. Only trusted code runs here."""

from collections import OrderedDict
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from kdbench.evaluation.answers import outputs_of
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import state_digest
from kdbench.spec import Data
from kdbench.testsets.arrays import TestArrays

PooledFeatures = NDArray[np.float64]
MOST_NETWORKS: Final = 6  # all teachers of a seed: three biases, two families


class KeptFeatures:
    """The features of the networks that were used last, by their weights and images.

    All students of a seed are compared with the same teachers, so the features of these are computed once.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], PooledFeatures] = OrderedDict()

    def of(self, network: Backbone, clean: TestArrays, data: Data, device: torch.device) -> PooledFeatures:
        """Return (n, F) features in float32 arithmetic, whatever the precision of the track.

        Args:
            network: in evaluation mode.
            clean: test set, whose (n, h, h, 3) uint8 images are not manipulated.
            data: size and normalisation of the track.
            device: of the network.
        """
        key = state_digest(network), clean.sha256
        if key not in self._kept:
            self._put(key, outputs_of(network, clean.images, data, device, pooled=True)["pooled"])
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep(self, network: Backbone, clean: TestArrays, pooled: NDArray[np.float32]) -> None:
        """Keep features that were computed in float32 beside other outputs of a network."""
        self._put((state_digest(network), clean.sha256), pooled)

    def _put(self, key: tuple[str, str], pooled: NDArray[np.float32]) -> None:
        self._kept[key] = pooled.astype(np.float64)
        while len(self._kept) > MOST_NETWORKS:
            self._kept.popitem(last=False)
