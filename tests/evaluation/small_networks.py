"""What tests of the evaluation share: small networks, and noise for images and features."""

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.api import Output
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.spec import load_spec

TRACK = load_spec().track("synthetic")
CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def clean_arrays(count: int = 40) -> TestArrays:
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    targets = np.arange(count, dtype=np.int16) % 10
    return TestArrays(images, targets, targets, np.arange(count, dtype=np.int32))


def network(family: str, seed: int = 0) -> Backbone:
    return new_backbone(TRACK, family, seed=seed).eval()  # type: ignore[arg-type]


class Looker(nn.Module):
    """A network whose class is decided by the brightness of one square alone."""

    family = "cnn"

    def forward(self, images: Tensor, needs: frozenset[str] = frozenset()) -> Output:
        seen = images[:, :, 8:12, 20:24].mean(dim=(1, 2, 3))
        return Output(logits=torch.stack([seen, -seen], dim=1), pooled=seen[:, None])
