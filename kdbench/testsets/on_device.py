"""Manipulations on the lattice of the model's input, made at evaluation: tiles in another order, a patch of noise.

They act on resized pixels, so that tiles and patches lie on whole patches of a ViT, and need no arrays at full size.
What decides them, permutations and a tile, are integer tables whose digests the spec pins.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.pixels import pixels_at_size
from kdbench.data.store import array_sha256
from kdbench.errors import DataError
from kdbench.randomness import below
from kdbench.resources import shipped
from kdbench.spec import Data
from kdbench.testsets.arrays import Manipulation, NoisePatch, TestArrays, TileOrders
from kdbench.testsets.draws import Integers, image_words
from kdbench.testsets.scramble import tile_orders

SHIPPED_TILE = ("datasets", "cifar10", "tile.npz")
TABLE_IMAGES = 10000  # of the whole test set; a limited build takes its rows
CENTRES = np.array([(7, 7), (4, 4), (4, 10), (10, 4), (10, 10)])  # of the noise's five sites, in patches of the ViT
PATCH = 16  # pixels a side of a patch of the ViT


def manipulated(pixels: Tensor, manipulation: Manipulation, rows: slice | Integers) -> Tensor:
    """(B, 3, H, H) images after the manipulation's rows `rows` were done to them.

    Args:
        pixels: (B, 3, H, H) float in [0, 255].
        manipulation: of the whole test set.
        rows: of these images in it.
    """
    if isinstance(manipulation, TileOrders):
        return _reordered(pixels, torch.from_numpy(manipulation.order[rows].astype(np.int64)), manipulation.grid)
    return _with_noise(pixels, manipulation, rows)


def _reordered(pixels: Tensor, order: Tensor, grid: int) -> Tensor:
    count, channels, height, width = pixels.shape
    tiles = pixels.reshape(count, channels, grid, height // grid, grid, width // grid).permute(0, 2, 4, 1, 3, 5)
    flat = tiles.reshape(count, grid * grid, channels, height // grid, width // grid)
    moved = flat[torch.arange(count, device=pixels.device)[:, None], order.to(pixels.device)]
    square = moved.reshape(count, grid, grid, channels, height // grid, width // grid)
    return square.permute(0, 3, 1, 4, 2, 5).reshape(pixels.shape)


def _with_noise(pixels: Tensor, noise: NoisePatch, rows: slice | Integers) -> Tensor:
    size = len(noise.tile)
    tile = torch.from_numpy(noise.tile.astype(np.float32)).to(pixels.device).permute(2, 0, 1)
    corners = noise.corners[rows]
    result = pixels.clone()
    for top, left in np.unique(corners, axis=0).tolist():
        there = torch.from_numpy((corners == (top, left)).all(axis=1)).to(pixels.device)
        window = (there, slice(None), slice(top, top + size), slice(left, left + size))
        result[window] = (pixels[window] + tile).clamp_(0, 255)
    return result


def seen_small(arrays: TestArrays, rows: list[int], data: Data, side: int) -> NDArray[np.uint8]:
    """(k, side, side, 3) some images of a set as networks see them, made smaller for people."""
    seen = pixels_at_size(arrays.images[rows], data, torch.device("cpu"))
    if arrays.manipulation is not None:
        seen = manipulated(seen, arrays.manipulation, np.array(rows))
    small = F.interpolate(seen, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(small.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())


def orders_of(
    ids: Integers, image_size: int, *, grid: int, permutation: int = 0, table_sha256: str | None = None
) -> TileOrders:
    """The tile orders of images, the rows of a table whose digest is compared if the spec pins one.

    Args:
        ids: (n,) positions in the whole data set.
        image_size: pixels a side; a multiple of `grid`.
        grid: tiles a side.
        permutation: number of the permutation that is drawn for each image.
        table_sha256: of the whole table.

    Raises:
        DataError: the table is not the pinned one.
    """
    if grid < 2 or image_size % grid:
        raise ValueError(f"{image_size} pixels cannot be cut into {grid} tiles a side")
    table = _order_table(grid, permutation)
    _compare(f"the permutations of {grid}x{grid} tiles", table, table_sha256)
    return TileOrders(grid, table[ids])


@cache
def _order_table(grid: int, permutation: int) -> NDArray[np.uint8]:
    return tile_orders(np.arange(TABLE_IMAGES), grid=grid, permutation=permutation).astype(np.uint8)


def noise_of(
    ids: Integers, image_size: int, *, size: int, offset: int = 0, tile_sha256: str | None = None
) -> NoisePatch:
    """The noise of images: one tile for all, at one of five sites each.

    Args:
        ids: (n,) positions in the whole data set; decide each image's site.
        image_size: pixels a side.
        size: pixels a side of the patch, the centre of the shipped tile.
        offset: pixels by which all sites are moved down and right, off the lattice of the ViT's patches.
        tile_sha256: of the shipped tile.

    Raises:
        DataError: the tile is not the pinned one.
    """
    tile = _shipped_tile(shipped(*SHIPPED_TILE))
    _compare("the noise tile", tile, tile_sha256)
    sites = CENTRES * PATCH - size // 2 + offset
    if size > len(tile) or sites.min() < 0 or sites.max() + size > image_size:
        raise ValueError(f"noise of {size} pixels does not fit a {image_size}-pixel image and a {len(tile)}-pixel tile")
    margin = (len(tile) - size) // 2
    chosen = below(image_words(ids, "noise", per_item=4)[:, 0], len(sites))
    return NoisePatch(tile[margin : margin + size, margin : margin + size], sites[chosen].astype(np.int16))


@cache
def _shipped_tile(path: Path) -> NDArray[np.int16]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tile: NDArray[np.int16] = arrays["tile"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"noise tile {path} cannot be read: {error}; restore the shipped file") from error
    return tile


def _compare(what: str, table: NDArray[np.integer], sha256: str | None) -> None:
    found = array_sha256(table)
    if sha256 is not None and found != sha256:
        raise DataError(f"{what} have the sha256 {found[:16]}..., the spec pins {sha256[:16]}...; mend the spec")
