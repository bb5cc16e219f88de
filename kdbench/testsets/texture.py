"""Texture: the object's interior grown over the whole field, without its outline."""

import numpy as np
from numpy.typing import NDArray

from kdbench.testsets.draws import Integers, image_words
from kdbench.testsets.quilting import Recipe, quilted, source_regions


def texture_fields(
    images: NDArray[np.uint8], masks: NDArray[np.bool_], ids: Integers, *, recipe: Recipe
) -> NDArray[np.uint8]:
    """(n, H, H, 3) texture of each image's object, quilted over the whole field.

    Args:
        images: (n, H, H, 3) uint8.
        masks: (n, H, H) bool objects; where one has no room for a block, texture comes from the central square.
        ids: (n,) positions in the whole data set; name each image's random candidates.
        recipe: of the quilting.
    """
    regions, _ = source_regions(masks, recipe)
    draws = image_words(ids, "texture", per_item=recipe.words_per_image(images.shape[1]))
    return quilted(images, regions, draws, recipe)
