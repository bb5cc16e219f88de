"""Noise: one tile of Gaussian noise, the same for all images, added at one of five sites."""

import numpy as np
from numpy.typing import NDArray

from kdbench.randomness import below
from kdbench.testsets.draws import Integers, image_words

Images = NDArray[np.uint8]

CENTRES = np.array(
    [(16, 16), (8, 8), (8, 24), (24, 8), (24, 24)]
)  # of the sites, in 32nds of the image, down and right


def noisy(images: Images, ids: Integers, tile: NDArray[np.int16], *, size: int, offset: int = 0) -> Images:
    """Adds the centre of the tile to each image and clips.

    Args:
        images: (n, H, H, 3) uint8.
        ids: (n,) positions in the whole data set; decide each image's site.
        tile: (T, T, 3) grey levels, T at least `size`.
        size: pixels a side of what is added.
        offset: pixels by which all sites are moved down and right, off the lattice of a ViT's patches.
    """
    side = images.shape[1]
    sites = CENTRES * side // 32 - size // 2 + offset
    if size > tile.shape[0] or sites.min() < 0 or sites.max() + size > side:
        raise ValueError(f"a tile of {size} pixels does not fit a {side}-pixel image and a {tile.shape[0]}-pixel tile")
    margin = (tile.shape[0] - size) // 2
    centre = tile[margin : margin + size, margin : margin + size].astype(np.int32)
    chosen = below(image_words(ids, "noise", per_item=4)[:, 0], len(sites))
    result = images.copy()
    for number, (top, left) in enumerate(sites):
        window = (chosen == number, slice(top, top + size), slice(left, left + size))
        result[window] = np.clip(images[window].astype(np.int32) + centre, 0, 255)
    return result
