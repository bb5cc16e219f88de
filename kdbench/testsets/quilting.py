"""Image quilting (Efros & Freeman, 2001): texture grown from blocks of an image, in integer arithmetic.

Blocks are laid from left to right and top to bottom. Each is the best of a few random candidates from the source, by
its squared difference from what already lies under it, and is joined along the path of least difference. With a guide,
a candidate must also resemble the guide's luminance (texture transfer). All images of a batch are quilted together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kdbench.data.array_types import Images, Masks
from kdbench.randomness import Words, below

FALLBACK_SIDE = 20  # pixels of the central square that stands in for a mask
MIN_CORNERS = 8  # places that a block needs inside a mask; fewer would repeat one block
GUIDE_WEIGHT = 12  # of a guide's squared difference of luminance, beside that of the three colours in the overlap

OverlapErrors = NDArray[np.int32]


@dataclass(frozen=True)
class Quilting:
    """How blocks are laid.

    Attributes:
        block, overlap: pixels.
        candidates: that each block is chosen from.
    """

    block: int = 8
    overlap: int = 3
    candidates: int = 40

    def blocks_per_side(self, size: int) -> int:
        """Return how many blocks cover `size` pixels."""
        return -(-(size - self.overlap) // (self.block - self.overlap))

    def words_per_image(self, size: int) -> int:
        """Return how many random words quilting a `size` x `size` image draws."""
        return self.blocks_per_side(size) ** 2 * self.candidates


def source_regions(masks: Masks, quilting: Quilting) -> tuple[Masks, Masks]:
    """Return where texture is taken from: the object without its outermost pixel, else the central square.

    Args:
        masks: (n, H, W) bool; an empty one stands for no object.

    Returns:
        regions: (n, H, W) bool.
        from_object: (n,) bool, False where the central square had to stand in.
    """
    from scipy import ndimage

    regions = ndimage.binary_erosion(masks, structure=ndimage.generate_binary_structure(2, 1)[None])
    from_object = corners_inside(regions, quilting.block).sum(axis=(1, 2)) >= MIN_CORNERS
    top, left = ((side - FALLBACK_SIDE) // 2 for side in masks.shape[1:])
    square = np.zeros(masks.shape[1:], bool)
    square[top : top + FALLBACK_SIDE, left : left + FALLBACK_SIDE] = True
    return np.where(from_object[:, None, None], regions, square), from_object


def corners_inside(regions: Masks, block: int) -> Masks:
    """Return (n, H - block + 1, W - block + 1) bool: top-left corners of blocks that lie wholly inside a region."""
    windows = sliding_window_view(regions, (block, block), axis=(1, 2))
    return np.asarray(windows.all(axis=(-2, -1)), bool)


def luminance(images: Images) -> NDArray[np.int32]:
    """Return (..., H, W) luminance of RGB images, 0 to 255 (Rec. 601 weights in 256ths)."""
    return (images.astype(np.int32) @ np.array([77, 150, 29], np.int32)) >> 8


def quilted(
    sources: Images, regions: Masks, word: Words, quilting: Quilting, guide: NDArray[np.int32] | None = None
) -> Images:
    """Quilt one image from each source.

    Args:
        sources: (n, S, S, 3) uint8.
        regions: (n, S, S) bool, where blocks may come from; each holds at least one whole block.
        word: (n, `quilting.words_per_image(S)` or more) random words.
        quilting: block size, overlap and candidates.
        guide: (n, S, S) luminance that the result shall resemble, or None.

    Returns:
        (n, S, S, 3) uint8.
    """
    size, step = sources.shape[1], quilting.block - quilting.overlap
    side = quilting.blocks_per_side(size)
    full = side * step + quilting.overlap
    canvas = np.zeros((len(sources), full, full, 3), np.int16)
    search = _Search(sources, corners_inside(regions, quilting.block), quilting, _padded(guide, full))
    draws = word[:, : side * side * quilting.candidates].reshape(len(sources), side * side, quilting.candidates)
    for number in range(side * side):
        top, left = number // side * step, number % side * step
        patch = search.best(canvas, top, left, draws[:, number])
        _join(canvas, patch, top, left, quilting.overlap)
    return canvas[:, :size, :size].astype(np.uint8)


def _padded(guide: NDArray[np.int32] | None, full: int) -> NDArray[np.int32] | None:
    if guide is None:
        return None
    missing = full - guide.shape[1]
    return np.pad(guide, ((0, 0), (0, missing), (0, missing)), mode="edge")


class _Search:
    """Find the best of random candidate blocks for a place on the canvas."""

    def __init__(self, sources: Images, corners: Masks, quilting: Quilting, guide: NDArray[np.int32] | None) -> None:
        self._sources = sources.astype(np.int16)
        self._quilting = quilting
        self._guide = guide
        self._luminance = luminance(sources) if guide is not None else None
        flat = corners.reshape(len(corners), -1)
        self._allowed = np.argsort(~flat, axis=1, kind="stable")
        self._count = flat.sum(axis=1)
        self._corners_per_row = corners.shape[2]
        self._rows = np.arange(len(sources))

    def best(self, canvas: NDArray[np.int16], top: int, left: int, draws: Words) -> NDArray[np.int16]:
        """Return (n, block, block, 3) the candidate that fits best at a place; the first of equals."""
        corner = self._allowed[self._rows[:, None], below(draws, self._count[:, None])]
        row, column = np.divmod(corner, self._corners_per_row)
        block, overlap = self._quilting.block, self._quilting.overlap
        cost = np.zeros(corner.shape, np.int32)
        if top:
            cost += _squared(self._sources, canvas, (top, left), (row, column), (overlap, block))
        if left:
            lower = overlap if top else 0
            cost += _squared(
                self._sources, canvas, (top + lower, left), (row + lower, column), (block - lower, overlap)
            )
        if self._guide is not None and self._luminance is not None:
            cost += GUIDE_WEIGHT * _squared(self._luminance, self._guide, (top, left), (row, column), (block, block))
        chosen = cost.argmin(axis=1)
        windows = sliding_window_view(self._sources, (block, block), axis=(1, 2))
        picked = windows[self._rows, row[self._rows, chosen], column[self._rows, chosen]]
        return np.moveaxis(picked, 1, -1)


def _squared(
    sources: NDArray[np.int16] | NDArray[np.int32],
    target: NDArray[np.int16] | NDArray[np.int32],
    place: tuple[int, int],
    corners: tuple[NDArray[np.int64], NDArray[np.int64]],
    shape: tuple[int, int],
) -> OverlapErrors:
    """Return (n, candidates) the squared difference of candidate windows of sources from one window of the target."""
    (top, left), (row, column), (height, width) = place, corners, shape
    rows = np.arange(len(sources))[:, None]
    cost = np.zeros(row.shape, np.int32)
    there = target[:, top : top + height, left : left + width]
    for down in range(height):
        for right in range(width):
            difference = (sources[rows, row + down, column + right] - there[:, down, right][:, None]).astype(np.int32)
            squares = difference * difference
            cost += squares.sum(axis=-1) if squares.ndim == 3 else squares
    return cost


def _join(canvas: NDArray[np.int16], patch: NDArray[np.int16], top: int, left: int, overlap: int) -> None:
    """Lay a patch on the canvas, cut along the paths of least difference through its overlaps."""
    block = patch.shape[1]
    under = canvas[:, top : top + block, left : left + block]
    error = ((under - patch).astype(np.int32) ** 2).sum(axis=-1)
    mask = np.ones(patch.shape[:3], bool)
    if left:
        mask[:, :, :overlap] &= right_of_cut(error[:, :, :overlap])
    if top:
        mask[:, :overlap] &= right_of_cut(error[:, :overlap].swapaxes(1, 2)).swapaxes(1, 2)
    under[mask] = patch[mask]


def right_of_cut(error: OverlapErrors) -> Masks:
    """Return what lies on and right of the cheapest path from the top row to the bottom row.

    Args:
        error: (n, length, width) cost of passing through each pixel; a path moves at most one column per row.

    Returns:
        (n, length, width) bool; of equally cheap paths the leftmost, seen from the bottom.
    """
    length, width = error.shape[1:]
    total = error.astype(np.int64)
    for row in range(1, length):
        above = np.pad(total[:, row - 1], ((0, 0), (1, 1)), constant_values=np.iinfo(np.int64).max // 2)
        total[:, row] += np.minimum(np.minimum(above[:, :-2], above[:, 1:-1]), above[:, 2:])
    mask = np.zeros(error.shape, bool)
    columns = np.arange(width)
    cut = total[:, -1].argmin(axis=1)
    mask[:, -1] = columns >= cut[:, None]
    for row in range(length - 2, -1, -1):
        near = np.abs(columns - cut[:, None]) <= 1
        cut = np.where(near, total[:, row], np.iinfo(np.int64).max).argmin(axis=1)
        mask[:, row] = columns >= cut[:, None]
    return mask
