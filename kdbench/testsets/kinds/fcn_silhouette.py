"""Silhouettes of photographs at the track's size, from the masks of FCN-ResNet-101."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.data.array_types import Images, Masks
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.kinds.kind import GREY, PHOTOGRAPHS, RENDERING, Kind
from kdbench.testsets.kinds.silhouette import silhouette_caption, silhouettes
from kdbench.testsets.plans import PiecePlan, Workshop

if TYPE_CHECKING:
    from kdbench.networks.weights import WeightFile

DISC = "disc"


class FcnSilhouette(Kind):
    """Silhouettes of objects. With `fallback`, the set includes images without an object; they show a disc."""

    axes = ("shape", "texture")
    sources = PHOTOGRAPHS
    rendering = "fcn-silhouette"

    def parameters(self, data: Data) -> Parameters:
        fallback = Parameter(str, required=False, choices=(DISC,))
        return {"rendering": RENDERING, "foreground": GREY, "background": GREY, "fallback": fallback}

    def weights(self) -> "tuple[WeightFile, ...]":
        from kdbench.networks.weights import FCN

        return (FCN,)

    def plan(self, test_set: TestSet, workshop: Workshop) -> PiecePlan:
        objects, clean = workshop.network_masks, workshop.clean
        colours: dict[str, Any] = {key: test_set.parameters[key] for key in ("foreground", "background")}
        rows = np.arange(len(clean)) if "fallback" in test_set.parameters else objects.rows
        stand_in = disc(workshop.track.data.image_size)

        def piece(part: slice) -> Images:
            masks = objects.masks[rows[part]]
            empty = ~masks.any(axis=(1, 2), keepdims=True)
            return silhouettes(np.where(empty, stand_in, masks), **colours)

        return PiecePlan(answers=clean.answers(rows), facts=objects.facts, piece=piece)

    def caption(self, test_set: TestSet) -> str:
        fallback = test_set.parameters.get("fallback")
        stand_in = " If no object was found, the image shows a disc." if fallback == DISC else ""
        return silhouette_caption(test_set) + stand_in


def disc(size: int) -> Masks:
    """Return (size, size) the centred disc that replaces an empty mask; its radius is 12/32 of the side."""
    rows, columns = np.ogrid[:size, :size]
    middle = (size - 1) / 2
    return np.asarray(np.hypot(rows - middle, columns - middle) <= 12 / 32 * size)
