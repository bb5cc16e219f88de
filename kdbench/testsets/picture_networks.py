"""The networks that make test sets, FCN-ResNet-101 and VGG-19, and the conversion of images for them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.data.array_types import Images, Masks
from kdbench.data.pixels import pixels_at_size
from kdbench.networks.device import forget_peak_memory
from kdbench.spec import Data
from kdbench.testsets.fcn import Segmented, load_segmenter, segmented
from kdbench.testsets.vgg import load_vgg, repeatable

BATCH = 32  # images that are optimised at once


@dataclass(frozen=True)
class PictureNetworks:
    """The networks, which are loaded when they are first needed.

    Attributes:
        device: on which they compute.
        make_segmenter, make_vgg: load a network onto a device.
    """

    device: torch.device
    make_segmenter: Callable[[torch.device], nn.Module] = load_segmenter
    make_vgg: Callable[[torch.device], nn.Sequential] = load_vgg

    @cached_property
    def segmenter(self) -> nn.Module:
        return self.make_segmenter(self.device)

    @cached_property
    def vgg(self) -> nn.Sequential:
        return self.make_vgg(self.device)

    def release(self) -> None:
        """Free the memory of the networks on the device."""
        for name in ("segmenter", "vgg"):
            self.__dict__.pop(name, None)
        forget_peak_memory(self.device)

    def segment(self, images: Images, data: Data) -> Segmented:
        """Return masks of stored images (n, h, h, 3) at the track's size."""
        with repeatable():
            return segmented(self.segmenter, images, data, self.device)

    def pixels(self, images: Images, data: Data) -> Tensor:
        """Return (k, 3, H, H) pixels in [0, 255] of stored images at the track's size, on the device."""
        return pixels_at_size(images, data, self.device)

    def masks(self, masks: Masks) -> Tensor:
        """Return (k, 1, H, H) bool masks on the device."""
        return torch.from_numpy(np.array(masks)).to(self.device)[:, None]


def as_images(pixels: Tensor) -> Images:
    """Return (n, H, H, 3) uint8 of (n, 3, H, H) pixels in [0, 255]."""
    rounded = pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return cast(Images, rounded.cpu().numpy())


def in_batches(make: Callable[[slice], Tensor], count: int) -> Images:
    """Return (count, H, H, 3) images of the pixels that `make` returns for slices of `BATCH` images."""
    with repeatable():
        parts = [as_images(make(slice(start, start + BATCH))) for start in range(0, count, BATCH)]
    return np.concatenate(parts)
