"""Texture of photographs: patches of the object's interior, quilted over the whole image."""

from typing import Any

from kdbench.data.array_types import Images, Integers, Masks
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.draws import image_words
from kdbench.testsets.kinds.kind import PHOTOGRAPHS, Kind
from kdbench.testsets.plans import ChunkPlan, Workshop
from kdbench.testsets.quilting import Quilting, quilted, source_regions

COUNT = Parameter(int, required=False, least=1)
QUILTING_PARAMETERS = {"block": COUNT, "overlap": COUNT, "candidates": COUNT}


class QuiltedTexture(Kind):
    axes = ("texture",)
    sources = PHOTOGRAPHS

    def parameters(self, data: Data) -> Parameters:
        return QUILTING_PARAMETERS

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        clean, masks, quilting = workshop.clean, workshop.object_masks.masks, quilting_of(test_set)
        return ChunkPlan(
            answers=clean.answers(),
            facts={"source_from_object": clean.share_by_class(source_regions(masks, quilting)[1])},
            function=texture_fields,
            arrays=(clean.images, masks, clean.ids),
            keywords={"quilting": quilting},
        )

    def caption(self, test_set: TestSet) -> str:
        return "Patches from the inside of the object fill the whole image. Its texture is left, but not its outline."


def quilting_of(test_set: TestSet) -> Quilting:
    """Return the quilting that a set's parameters describe."""
    parameters: dict[str, Any] = dict(test_set.parameters)
    return Quilting(**parameters)


def texture_fields(images: Images, masks: Masks, ids: Integers, *, quilting: Quilting) -> Images:
    """Return (n, H, H, 3) the texture of each image's object, quilted over the whole field.

    Args:
        images: (n, H, H, 3) uint8.
        masks: (n, H, H) bool objects; where one has no room for a block, texture comes from the central square.
        ids: (n,) positions in the whole data set, which determine each image's random candidates.
        quilting: how blocks are laid.
    """
    regions, _ = source_regions(masks, quilting)
    draws = image_words(ids, "texture", per_item=quilting.words_per_image(images.shape[1]))
    return quilted(images, regions, draws, quilting)
