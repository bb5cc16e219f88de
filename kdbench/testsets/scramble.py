"""Scramble: square tiles moved about, each image by a permutation of its own that leaves no tile in its place."""

import numpy as np
from numpy.typing import NDArray

from kdbench.randomness import derangements
from kdbench.testsets.draws import Integers, image_words

Images = NDArray[np.uint8]


def scrambled(images: Images, ids: Integers, *, grid: int, permutation: int = 0) -> Images:
    """Moves the tiles of a `grid` x `grid` partition.

    Args:
        images: (n, H, W, 3) uint8, H and W multiples of `grid`.
        ids: (n,) positions in the whole data set; name each image's permutation.
        grid: tiles a side, at least 2.
        permutation: number of the permutation that is drawn for each image; sets that differ in it are independent.
    """
    count, height, width, channels = images.shape
    if grid < 2 or height % grid or width % grid:
        raise ValueError(f"{height}x{width} pixels cannot be cut into a grid of {grid}x{grid} tiles")
    order = tile_orders(ids, grid=grid, permutation=permutation)
    tiles = images.reshape(count, grid, height // grid, grid, width // grid, channels).swapaxes(2, 3)
    flat = tiles.reshape(count, grid * grid, height // grid, width // grid, channels)
    moved = flat[np.arange(count)[:, None], order].reshape(tiles.shape)
    return moved.swapaxes(2, 3).reshape(images.shape)


def tile_orders(ids: Integers, *, grid: int, permutation: int = 0) -> Integers:
    """(n, grid * grid) for each place of an image the tile that it gets, never its own; see `scrambled`."""
    stream = ("scramble", grid, permutation) if permutation else ("scramble", grid)
    return derangements(image_words(ids, *stream, per_item=grid * grid)[:, : grid * grid])
