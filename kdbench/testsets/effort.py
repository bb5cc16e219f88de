"""Counts the operations that networks need to make test sets, without computing them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kdbench.networks.weights import FCN
from kdbench.spec import Data, TestSet
from kdbench.testsets.fcn import new_fcn
from kdbench.testsets.kinds import kind_of
from kdbench.testsets.vgg import VggFeatures, new_vgg

META = torch.device("meta")
PASSES_PER_STEP = 2  # when pixels are optimised: one forward, and one backward to the pixels


def building_operations(test_sets: Sequence[TestSet], data: Data) -> float:
    """Return the operations that networks need to make test sets: masks once, and every step of an optimiser."""
    kinds = [(test_set, kind_of(test_set, data)) for test_set in test_sets]
    masked = [test_set.images for test_set, kind in kinds if FCN in kind.weights()]
    masks = max(masked) * _segmenter_operations(data) if masked else 0.0
    return masks + sum(
        test_set.images * optimiser_operations(layers, steps, data)
        for test_set, kind in kinds
        for layers, steps in kind.optimisations(test_set)
    )


def optimiser_operations(layers: Sequence[str], steps: int, data: Data) -> float:
    """Return the operations of optimising one image for some steps, given the features of these layers of VGG-19."""
    with META:
        vgg = VggFeatures(new_vgg(), "max")
        return PASSES_PER_STEP * steps * counted_operations(lambda image: vgg(image, layers), data)


def counted_operations(network: Callable[[Tensor], object], data: Data) -> float:
    """Return the operations of a forward pass of one image at the track's size, for a network on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, data.image_size, data.image_size, device=META))
    return float(counter.get_total_flops())


def _segmenter_operations(data: Data) -> float:
    with META:
        return counted_operations(new_fcn().eval(), data)
