"""Shape of photographs: the object's silhouette, from the masks of the stored images."""

import numpy as np

from kdbench.data.array_types import Images, Masks
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameters
from kdbench.testsets.kinds.kind import GREY, PHOTOGRAPHS, RENDERING, Kind
from kdbench.testsets.plans import ChunkPlan, Workshop


class Silhouette(Kind):
    axes = ("shape",)
    sources = PHOTOGRAPHS
    rendering = "silhouette"

    def parameters(self, data: Data) -> Parameters:
        return {"rendering": RENDERING, "foreground": GREY, "background": GREY}

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        objects, keywords = workshop.object_masks, dict(test_set.parameters)
        del keywords["rendering"]
        return ChunkPlan(
            answers=workshop.clean.answers(objects.rows),
            facts={"coverage": workshop.clean.share_by_class(objects.covered)},
            function=silhouettes,
            arrays=(objects.masks[objects.rows],),
            keywords=keywords,
        )

    def caption(self, test_set: TestSet) -> str:
        return silhouette_caption(test_set)


def silhouettes(masks: Masks, *, foreground: int, background: int) -> Images:
    """Return (n, H, W, 3) images of (n, H, W) masks in two grey levels, 0 to 255."""
    grey = np.where(masks, np.uint8(foreground), np.uint8(background))
    return np.repeat(grey[..., None], 3, axis=-1)


def silhouette_caption(test_set: TestSet) -> str:
    """Return the caption of a set of silhouettes, whichever method found the objects."""
    colours = "white on black" if test_set.parameters.get("foreground") == 255 else "black on white"
    return f"The object is a silhouette, {colours}. Only its outline is left."
