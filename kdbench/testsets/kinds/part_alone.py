"""Background of photographs: the object alone, or its surroundings alone; plain grey replaces the rest."""

import numpy as np

from kdbench.data.array_types import Images, Masks
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.kinds.kind import GREY, PHOTOGRAPHS, Kind
from kdbench.testsets.plans import ChunkPlan, Workshop

OBJECT, BACKGROUND = "object", "background"
IN_NO_SCORE = "No score includes this set."


class PartAlone(Kind):
    axes = ("background",)
    sources = PHOTOGRAPHS

    def parameters(self, data: Data) -> Parameters:
        return {"kept": Parameter(str, choices=(OBJECT, BACKGROUND)), "fill": GREY}

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        clean, objects = workshop.clean, workshop.object_masks
        masks = objects.masks if test_set.parameters["kept"] == OBJECT else ~objects.masks
        return ChunkPlan(
            answers=clean.answers(objects.rows),
            facts={"coverage": clean.share_by_class(objects.covered)},
            function=part_alone,
            arrays=(clean.images[objects.rows], masks[objects.rows]),
            keywords={"fill": test_set.parameters["fill"]},
        )

    def caption(self, test_set: TestSet) -> str:
        if test_set.parameters["kept"] == OBJECT:
            return f"The object on plain grey, without its surroundings. {IN_NO_SCORE}"
        return f"The surroundings of the object, which plain grey covers. Its outline remains. {IN_NO_SCORE}"

    def title(self, test_set: TestSet, axis_name: str) -> str:
        return "Object alone" if test_set.parameters["kept"] == OBJECT else "Background alone"


def part_alone(images: Images, masks: Masks, *, fill: int) -> Images:
    """Return (n, H, H, 3) images that are the grey level `fill` outside of (n, H, H) masks."""
    return np.where(masks[..., None], images, np.uint8(fill))
