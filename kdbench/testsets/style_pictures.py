"""Pictures whose style images can take on: a picture of scikit-image, or any file of the user."""

from pathlib import Path

import numpy as np

from kdbench.data.array_types import Images
from kdbench.errors import DataError


def style_picture(name: str, size: int) -> Images:
    """Return (size, size, 3), the central square of a picture.

    Args:
        name: of a picture in `skimage.data`, or a path.
        size: pixels per side to resize it to.

    Raises:
        DataError: there is no such picture, or it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError
    from skimage import data as pictures

    try:
        if "." in name or "/" in name:
            picture = Image.open(Path(name)).convert("RGB")
        else:
            picture = Image.fromarray(getattr(pictures, name)()).convert("RGB")
    except (AttributeError, OSError, UnidentifiedImageError, TypeError) as error:
        raise DataError(
            f"style picture {name!r} cannot be read ({error}); give a picture file, or the name of one in skimage.data"
        ) from error
    side = min(picture.size)
    left, top = ((whole - side) // 2 for whole in picture.size)
    square = picture.crop((left, top, left + side, top + side))
    return np.array(square.resize((size, size), Image.Resampling.BICUBIC), np.uint8)
