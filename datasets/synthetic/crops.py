"""Cuts the crops of textures, for `tables.py`."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import vocabulary
from numpy.typing import NDArray
from scipy import ndimage

CROP = vocabulary.CROP
CROPS_PER_SPLIT = 6
SIGMA = 48  # a texture's standard deviation in table units
CLIP = 2.5  # standard deviations

SignedBytes = NDArray[np.int8]


def _windows(sheet: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    """Return `count` windows of 64 x 64 from a sheet, spread over it.

    A sheet that is smaller than a window is mirrored at its edge.
    """
    short = [max(0, CROP - side) for side in sheet.shape]
    sheet = np.pad(sheet, [(0, short[0]), (0, short[1])], mode="reflect")
    columns = max(1, round(math.sqrt(count * sheet.shape[1] / sheet.shape[0])))
    rows = math.ceil(count / columns)
    tops = np.linspace(0, sheet.shape[0] - CROP, rows).astype(int)
    lefts = np.linspace(0, sheet.shape[1] - CROP, columns).astype(int)
    corners = [(top, left) for top in tops for left in lefts][:count]
    return [sheet[top : top + CROP, left : left + CROP] for top, left in corners]


def standardised(window: NDArray[np.float64]) -> SignedBytes:
    """Return a window without shading, clipped, with a standard deviation of SIGMA table units."""
    shading = ndimage.gaussian_filter(window, 12, mode="reflect")  # would tell where a crop is from
    local = window - shading
    for _ in range(20):  # clipping takes variance away, most of all from textures of few bright spots
        local = np.clip((local - local.mean()) / local.std(), -CLIP, CLIP)
    return np.round(local / local.std() * SIGMA).clip(-127, 127).astype(np.int8)


def texture_crops(
    textures: Iterable[tuple[str, Callable[[np.random.Generator], NDArray[np.float64]]]], seed: int
) -> tuple[SignedBytes, SignedBytes]:
    """Return train and test crops, (textures, crops, 64, 64) each, from the left and right half of every sheet."""
    train, test = [], []
    for number, (_, make) in enumerate(textures):
        sheet = make(np.random.default_rng([seed, number]))
        middle = sheet.shape[1] // 2
        for half, crops in ((sheet[:, :middle], train), (sheet[:, middle:], test)):
            crops.append([standardised(window) for window in _windows(half, CROPS_PER_SPLIT)])
    return np.array(train), np.array(test)
