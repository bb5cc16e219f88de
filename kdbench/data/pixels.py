"""Resizes and normalises stored pixels on the device, in the same way for training and evaluation."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.array_types import Images
from kdbench.spec import Data


def pixels_at_size(images: Images, data: Data, device: torch.device) -> Tensor:
    """Return stored images as float pixels at the track's size, on a device.

    Args:
        images: (B, h, h, 3) uint8, h the stored or the track's own size; may be read-only.
        data: of the track.
        device: of the result.

    Returns:
        (B, 3, H, H) float in [0, 255].
    """
    return resized(torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2).float(), data)


def resized(pixels: Tensor, data: Data) -> Tensor:
    """Return images at the track's size; images that are stored at this size are returned unchanged.

    Args:
        pixels: (B, 3, h, h) float in [0, 255], h the stored or the track's own size.
        data: of the track.

    Returns:
        (B, 3, H, H) float in [0, 255]. Values that bicubic interpolation puts outside this range are clipped.

    Raises:
        ValueError: h is neither of the two sizes.
    """
    size = data.image_size
    if data.resize is None or pixels.shape[-1] == size:
        return pixels
    if pixels.shape[-1] != data.resize.stored:
        raise ValueError(f"images are {pixels.shape[-1]} pixels wide; this track allows {data.resize.stored} or {size}")
    larger = F.interpolate(
        pixels, (size, size), mode=data.resize.interpolation, align_corners=False, antialias=data.resize.antialias
    )
    return larger.clamp_(0, 255)


class Normalisation:
    """A track's normalisation, with its constants on a device.

    Args:
        data: the track's mean and standard deviation of each channel, in [0, 1].
        device: of the images.
    """

    def __init__(self, data: Data, device: torch.device) -> None:
        self._mean = torch.tensor(data.mean, device=device).view(3, 1, 1) * 255
        self._scale = 1 / (torch.tensor(data.std, device=device).view(3, 1, 1) * 255)

    def __call__(self, pixels: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        """Return (B, 3, H, H) pixels in [0, 255] with the mean subtracted, divided by the standard deviation."""
        return ((pixels.float() - self._mean) * self._scale).contiguous(memory_format=memory_format)
