"""Networks lie on a device in the memory format of their family, and compute in the track's precision."""

import pytest
import torch

from kdbench.networks.models import new_backbone
from kdbench.networks.placement import memory_format, placed
from kdbench.networks.precision import autocast
from kdbench.spec import FAMILIES, Family, Precision
from kdbench.testsets.spec import load_spec

CPU = torch.device("cpu")
TRACK = load_spec().track("synthetic")


@pytest.mark.parametrize("family", FAMILIES)
def test_kernels_lie_in_the_memory_format_of_the_family(family: Family) -> None:
    backbone = placed(new_backbone(TRACK, family, seed=0, pretrained=False), CPU)
    kernels = [p for p in backbone.parameters() if p.ndim == 4]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=memory_format(family)) for kernel in kernels)


def test_images_of_cnns_alone_have_their_channels_last() -> None:
    assert [memory_format(family) for family in ("cnn", "vit")] == [torch.channels_last, torch.contiguous_format]


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)], ids=["float32", "bfloat16"]
)
def test_products_are_computed_in_the_precision(precision: Precision, dtype: torch.dtype) -> None:
    with autocast(precision, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_weight_that_changes_within_one_context_is_not_stale() -> None:
    weight = torch.ones(1, 1, requires_grad=True)
    with autocast("bfloat16", CPU):
        before = (torch.ones(1, 1) @ weight).item()
        with torch.no_grad():
            weight.fill_(3.0)
        after = (torch.ones(1, 1) @ weight).item()
    assert (before, after) == (1.0, 3.0)
