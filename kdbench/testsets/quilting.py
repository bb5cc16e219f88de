"""Image quilting (Efros & Freeman, 2001): texture that is composed of blocks of an image, in integer arithmetic.

Blocks are placed from left to right and from top to bottom. Each is the best of a few random candidates from the
source: the one with the smallest squared difference from the pixels that it overlaps. It is joined along the path of
least difference. With a guide, a candidate must also resemble the guide's luminance (texture transfer). All images of
a batch are quilted together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kdbench.data.array_types import Images, Masks
from kdbench.randomness import Words, below

FALLBACK_SIDE = 20  # side of the central square that replaces a mask, in 32nds of the image's side
MIN_CORNERS = 8  # possible places of a block inside a mask; with fewer, one block would be repeated
GUIDE_WEIGHT = 12  # of the squared difference from the guide's luminance, relative to that of the overlap's colours

OverlapErrors = NDArray[np.int32]


@dataclass(frozen=True)
class Quilting:
    """The settings of image quilting.

    Attributes:
        block, overlap: sizes in pixels.
        candidates: number of candidates for each block.
    """

    block: int = 8
    overlap: int = 3
    candidates: int = 40

    def blocks_per_side(self, size: int) -> int:
        """Return how many blocks cover `size` pixels."""
        return -(-(size - self.overlap) // (self.block - self.overlap))

    def words_per_image(self, size: int) -> int:
        """Return the number of random words that quilting a `size` x `size` image draws."""
        return self.blocks_per_side(size) ** 2 * self.candidates


def source_regions(masks: Masks, quilting: Quilting) -> tuple[Masks, Masks]:
    """Return the regions that provide texture: the object without its outermost pixels, or else the central square.

    Args:
        masks: (n, H, W) bool; all False for an image without an object.

    Returns:
        regions: (n, H, W) bool.
        from_object: (n,) bool, False if the region is the central square.
    """
    from scipy import ndimage

    regions = ndimage.binary_erosion(masks, structure=ndimage.generate_binary_structure(2, 1)[None])
    from_object = corners_inside(regions, quilting.block).sum(axis=(1, 2)) >= MIN_CORNERS
    side = FALLBACK_SIDE * masks.shape[1] // 32
    top, left = ((whole - side) // 2 for whole in masks.shape[1:])
    square = np.zeros(masks.shape[1:], bool)
    square[top : top + side, left : left + side] = True
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
        regions: (n, S, S) bool, the source of blocks; each contains at least one whole block.
        word: (n, `quilting.words_per_image(S)` or more) random words.
        quilting: block size, overlap and candidates.
        guide: (n, S, S) luminance that the result should resemble, or None.

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
    """Finds the best of some random candidate blocks for a place on the canvas."""

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
        """Return (n, block, block, 3), the candidates that fit best at a place; of equal candidates, the first."""
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
    """Place a patch on the canvas, cut along the paths of least difference through its overlaps."""
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
    """Return the pixels on the cheapest path from the top row to the bottom row, and those to the right of it.

    Args:
        error: (n, length, width) cost of passing through each pixel; a path moves at most one column per row.

    Returns:
        (n, length, width) bool. Of equally cheap paths, the leftmost is taken, starting at the bottom.
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
