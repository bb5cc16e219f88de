"""From stored pixels to what a network sees: resized and normalised on the device, in training as in evaluation."""

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.spec import Data


def resized(pixels: Tensor, data: Data) -> Tensor:
    """Images at the track's size; those that are stored at this size as they are.

    Args:
        pixels: (B, 3, h, h) float in [0, 255], h the stored or the track's own size.
        data: of the track.

    Returns:
        (B, 3, H, H) float in [0, 255]. What bicubic interpolation makes brighter than white is white.
    """
    size = data.image_size
    if data.resize is None or pixels.shape[-1] == size:
        return pixels
    if pixels.shape[-1] != data.resize.stored:
        raise ValueError(f"images are {pixels.shape[-1]} pixels wide; the track has {data.resize.stored} or {size}")
    larger = F.interpolate(
        pixels, (size, size), mode=data.resize.interpolation, align_corners=False, antialias=data.resize.antialias
    )
    return larger.clamp_(0, 255)


def normalisation(data: Data, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal standard deviation, (3, 1, 1) each, of pixels in [0, 255]: (pixels - mean) * scale."""
    mean = torch.tensor(data.mean, device=device).view(3, 1, 1) * 255
    scale = 1 / (torch.tensor(data.std, device=device).view(3, 1, 1) * 255)
    return mean, scale
