"""Objects of photographs on plain grey, cut out by the masks of FCN-ResNet-101."""

from typing import TYPE_CHECKING

from kdbench.data.array_types import Images
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameters
from kdbench.testsets.kinds.kind import GREY, PHOTOGRAPHS, RENDERING, Kind
from kdbench.testsets.plans import PiecePlan, Workshop

if TYPE_CHECKING:
    from kdbench.networks.weights import WeightFile


class FcnCutOut(Kind):
    axes = ("shape", "texture")
    sources = PHOTOGRAPHS
    rendering = "fcn-cut-out"

    def parameters(self, data: Data) -> Parameters:
        return {"rendering": RENDERING, "background": GREY}

    def weights(self) -> "tuple[WeightFile, ...]":
        from kdbench.networks.weights import FCN

        return (FCN,)

    def plan(self, test_set: TestSet, workshop: Workshop) -> PiecePlan:
        import torch

        from kdbench.testsets.picture_networks import as_images

        clean, objects, networks = workshop.clean, workshop.network_masks, workshop.networks
        data, background = workshop.track.data, float(test_set.parameters["background"])

        def piece(part: slice) -> Images:
            rows = objects.rows[part]
            mask = networks.masks(objects.masks[rows])
            return as_images(torch.where(mask, networks.pixels(clean.images[rows], data), background))

        return PiecePlan(answers=clean.answers(objects.rows), facts=objects.facts, piece=piece)

    def caption(self, test_set: TestSet) -> str:
        return "The unchanged object on plain grey, without its surroundings."
