"""Shape: the object's silhouette, without texture and colour."""

import numpy as np
from numpy.typing import NDArray


def silhouettes(masks: NDArray[np.bool_], *, foreground: int, background: int) -> NDArray[np.uint8]:
    """(n, H, W, 3) images of (n, H, W) masks in two grey levels, 0 to 255."""
    grey = np.where(masks, np.uint8(foreground), np.uint8(background))
    return np.repeat(grey[..., None], 3, axis=-1)
