"""Cue conflict of photographs: one image's layout in another's texture, over all ordered pairs of two classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Images, Integers, Masks
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameters
from kdbench.testsets.arrays import RightAnswers
from kdbench.testsets.draws import image_words
from kdbench.testsets.kinds.kind import PHOTOGRAPHS, Kind
from kdbench.testsets.kinds.quilted_texture import QUILTING_PARAMETERS, quilting_of
from kdbench.testsets.plans import ChunkPlan, Workshop
from kdbench.testsets.quilting import Quilting, luminance, quilted, source_regions


class CueConflict(Kind):
    axes = ("cue-conflict",)
    sources = PHOTOGRAPHS

    def parameters(self, data: Data) -> Parameters:
        return QUILTING_PARAMETERS

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        clean, objects = workshop.clean, workshop.object_masks
        pairs = conflict_pairs(clean.labels, clean.ids, objects.covered, count=test_set.images)
        return ChunkPlan(
            answers=RightAnswers(pairs.shapes, pairs.textures, pairs.content),
            function=conflicts,
            arrays=(
                clean.images[pairs.content],
                clean.images[pairs.texture],
                objects.masks[pairs.texture],
                np.arange(test_set.images),
            ),
            keywords={"quilting": quilting_of(test_set)},
        )

    def caption(self, test_set: TestSet) -> str:
        return CONFLICT_CAPTION


CONFLICT_CAPTION = (
    "Each image has the shape of one class and the texture of another. No answer is wrong: it shows a preference."
)


@dataclass(frozen=True)
class ConflictPairs:
    """Which images are combined, one entry per conflict.

    Attributes:
        content, texture: (n,) rows of the images that provide the layout and the texture.
        shapes, textures: (n,) their classes, never the same.
    """

    content: Integers
    texture: Integers
    shapes: Integers
    textures: Integers


def conflict_pairs(labels: Integers, ids: Integers, covered: Masks, *, count: int) -> ConflictPairs:
    """Pair images so that every ordered pair of classes occurs equally often, to within one.

    Contents are images whose mask is covered, so that there is an object to recognise; a class without such images uses
    all of its images. An image is used as content again only after every other one of its class; the same holds for
    textures.

    Args:
        labels: (n,) classes, each of at least one image.
        ids: (n,) positions in the whole data set, which determine the order of the images of a class.
        covered: (n,) bool.
        count: number of conflicts.
    """
    classes = int(labels.max()) + 1
    number = np.arange(count)
    shapes = number % classes
    textures = (shapes + 1 + number // classes % (classes - 1)) % classes
    order = image_words(ids, "cue-conflict", "order", per_item=4)
    content, texture = np.empty(count, np.int64), np.empty(count, np.int64)
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        good = members[covered[members]] if covered[members].any() else members
        content[shapes == label] = _dealt(good[np.argsort(order[good, 0], kind="stable")], int((shapes == label).sum()))
        texture[textures == label] = _dealt(
            members[np.argsort(order[members, 1], kind="stable")], int((textures == label).sum())
        )
    return ConflictPairs(content, texture, shapes, textures)


def _dealt(members: Integers, count: int) -> Integers:
    """Return `count` members in turn; the first one follows the last one."""
    return members[np.arange(count) % len(members)]


def conflicts(contents: Images, sources: Images, masks: Masks, number: Integers, *, quilting: Quilting) -> Images:
    """Return (n, H, H, 3) the texture of `sources` quilted to the luminance of `contents`.

    Args:
        contents, sources: (n, H, H, 3) uint8.
        masks: (n, H, H) bool objects of the sources.
        number: (n,) of each conflict, which determines its random candidates.
        quilting: how blocks are laid.
    """
    regions, _ = source_regions(masks, quilting)
    draws = image_words(number, "cue-conflict", "quilting", per_item=quilting.words_per_image(contents.shape[1]))
    return quilted(sources, regions, draws, quilting, guide=matched_luminance(contents, sources, regions))


def matched_luminance(contents: Images, sources: Images, regions: Masks) -> NDArray[np.int32]:
    """Return (n, H, H) luminance of the contents, its histogram replaced by that of the source's region."""
    grey, palette = luminance(contents), luminance(sources)
    matched = np.empty_like(grey)
    for row, region in enumerate(regions):
        levels = np.sort(palette[row][region])
        rank = np.empty(grey[row].size, np.int64)
        rank[np.argsort(grey[row], axis=None, kind="stable")] = np.arange(grey[row].size)
        matched[row] = levels[rank * len(levels) // grey[row].size].reshape(grey[row].shape)
    return matched
