"""The object masks of CIFAR-10's test images, which ship beside the data card, and their match with a copy.

The masks are ordered by class and number. A copy may have another order, and its pixels may differ a little from those
that the masks were found in: its images are matched to the masks of their class by thumbnail.
"""

import hashlib
import io
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Images, Integers
from kdbench.errors import DataError
from kdbench.files import DAMAGES
from kdbench.resources import shipped
from kdbench.testsets.plans import ObjectMasks

SHIPPED_MASKS: Final = ("datasets", "cifar10", "masks.npz")
LUMINANCE: Final = (299, 587, 114)  # thousandths of red, green and blue
THUMBNAIL: Final = 4  # pixels per side
TOLERANCE: Final = 4  # grey levels by which each pixel of a matched thumbnail may differ
ARRAYS: Final = ("masks", "covered", "label", "thumbnail")


def masks_of(images: Images, labels: Integers, sha256: str) -> ObjectMasks:
    """Return the shipped masks of the test images of a copy.

    Args:
        images: (n, 32, 32, 3) uint8.
        labels: (n,) classes.
        sha256: of the file of masks, as the spec pins it.

    Raises:
        DataError: the file is not the pinned one, or an image matches no mask of its class.
    """
    stored = _read(shipped(*SHIPPED_MASKS), sha256)
    rows = matched_rows(thumbnails(images), labels, stored["thumbnail"], stored["label"])
    masks = np.unpackbits(stored["masks"][rows], axis=1).reshape(len(rows), *images.shape[1:3]).astype(bool)
    return ObjectMasks(masks, stored["covered"][rows])


def thumbnails(images: Images) -> NDArray[np.uint8]:
    """Return (n, 16) the luminance of 4 x 4 thumbnails of (n, H, H, 3) images, by integer arithmetic."""
    count, side = len(images), images.shape[1] // THUMBNAIL
    blocks = images.reshape(count, THUMBNAIL, side, THUMBNAIL, side, 3).sum(axis=(2, 4), dtype=np.int64)
    scale = sum(LUMINANCE) * side * side
    luminance = (np.dot(blocks, LUMINANCE) + scale // 2) // scale
    return np.asarray(luminance.reshape(count, -1), np.uint8)


def matched_rows(
    seen: NDArray[np.uint8], labels: Integers, stored: NDArray[np.uint8], stored_labels: NDArray[np.integer]
) -> Integers:
    """Return (n,) for each image the row of its mask; no two images get the same.

    Args:
        seen, labels: (n, 16) thumbnails of the images, and (n,) their classes.
        stored, stored_labels: (m, 16) and (m,), those of the images that the masks were found in.

    Raises:
        DataError: an image differs from all that are left in its class.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.full(len(labels), -1)
    for label in np.unique(labels):
        mine, theirs = np.flatnonzero(labels == label), np.flatnonzero(stored_labels == label)
        a, b = seen[mine].astype(np.float64), stored[theirs].astype(np.float64)
        distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T  # whole numbers, so exact
        left, right = linear_sum_assignment(distance)
        rows[mine[left]] = theirs[right]
    gaps = np.abs(seen.astype(int) - stored[rows].astype(int)).max(axis=1)
    unmatched = np.count_nonzero((rows < 0) | (gaps > TOLERANCE))
    if unmatched:
        raise DataError(
            f"{unmatched} of {len(labels)} test images match no shipped object mask of their class, so they are not "
            "the test images of CIFAR-10 with its labels; give another copy with --data-root"
        )
    return rows


@cache
def _read(path: Path, sha256: str) -> dict[str, NDArray[Any]]:
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in ARRAYS}
    except DAMAGES as error:
        raise DataError(f"object masks {path} cannot be read: {error}; restore the shipped file") from error
    seen = hashlib.sha256(content).hexdigest()
    if seen != sha256:
        raise DataError(
            f"the sha256 of {path} is {seen[:16]}..., but the spec pins {sha256[:16]}...; restore the shipped file"
        )
    return stored
