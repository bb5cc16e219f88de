"""Cue conflict: one image's layout in another image's texture, over all ordered pairs of two classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench.testsets.draws import Integers, image_words
from kdbench.testsets.quilting import Recipe, luminance, quilted, source_regions

Images = NDArray[np.uint8]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Which images are combined, one entry a conflict.

    Attributes:
        content, texture: (n,) rows of the image that gives layout and of the one that gives texture.
        shapes, textures: (n,) their classes, never the same.
    """

    content: Integers
    texture: Integers
    shapes: Integers
    textures: Integers


def conflict_pairs(labels: Integers, ids: Integers, covered: NDArray[np.bool_], *, count: int) -> Pairs:
    """Pairs images so that every ordered pair of classes occurs equally often, to within one.

    Contents are images whose mask is covered, so that there is an object to recognise; a class without any gives all of
    its images. No image is a content twice before every other of its class was one; the same holds for textures.

    Args:
        labels: (n,) classes, each of at least one image.
        ids: (n,) positions in the whole data set; order the images of a class.
        covered: (n,) bool.
        count: number of conflicts.
    """
    classes = int(labels.max()) + 1
    number = np.arange(count)
    shapes = number % classes
    textures = (shapes + 1 + number // classes % (classes - 1)) % classes
    order = image_words(ids, "cue-conflict", "order", per_item=4)
    content, texture = np.empty(count, np.int64), np.empty(count, np.int64)
    for one in range(classes):
        members = np.flatnonzero(labels == one)
        good = members[covered[members]] if covered[members].any() else members
        content[shapes == one] = _dealt(good[np.argsort(order[good, 0], kind="stable")], int((shapes == one).sum()))
        texture[textures == one] = _dealt(
            members[np.argsort(order[members, 1], kind="stable")], int((textures == one).sum())
        )
    return Pairs(content, texture, shapes, textures)


def _dealt(members: Integers, count: int) -> Integers:
    """`count` members in turn, from the first again after the last."""
    return members[np.arange(count) % len(members)]


def conflicts(contents: Images, sources: Images, masks: Masks, number: Integers, *, recipe: Recipe) -> Images:
    """(n, H, H, 3) the texture of `sources` quilted to the luminance of `contents`.

    Args:
        contents, sources: (n, H, H, 3) uint8.
        masks: (n, H, H) bool objects of the sources.
        number: (n,) of each conflict; names its random candidates.
        recipe: of the quilting.
    """
    regions, _ = source_regions(masks, recipe)
    draws = image_words(number, "cue-conflict", "quilting", per_item=recipe.words_per_image(contents.shape[1]))
    return quilted(sources, regions, draws, recipe, guide=matched_luminance(contents, sources, regions))


def matched_luminance(contents: Images, sources: Images, regions: Masks) -> NDArray[np.int32]:
    """(n, H, H) luminance of the contents, its histogram replaced by that of the source's region."""
    grey, palette = luminance(contents), luminance(sources)
    matched = np.empty_like(grey)
    for row, region in enumerate(regions):
        levels = np.sort(palette[row][region])
        rank = np.empty(grey[row].size, np.int64)
        rank[np.argsort(grey[row], axis=None, kind="stable")] = np.arange(grey[row].size)
        matched[row] = levels[rank * len(levels) // grey[row].size].reshape(grey[row].shape)
    return matched
