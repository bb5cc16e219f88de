"""Photographs in the style of one picture (Gatys et al. 2015, arXiv:1508.06576), like the paper's own texture set."""

from typing import TYPE_CHECKING, Any

from kdbench.data.array_types import Images
from kdbench.data.store import array_sha256
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.kinds.kind import PHOTOGRAPHS, RENDERING, Kind
from kdbench.testsets.kinds.vgg_texture import FEATURES
from kdbench.testsets.plans import PiecePlan, Workshop
from kdbench.testsets.style_pictures import style_picture

if TYPE_CHECKING:
    from kdbench.networks.weights import WeightFile


class VggStyle(Kind):
    axes = ("shape", "texture")
    sources = PHOTOGRAPHS
    rendering = "vgg19-style"

    def parameters(self, data: Data) -> Parameters:
        return {
            "rendering": RENDERING,
            "style": Parameter(str),
            **FEATURES,
            "style_weight": Parameter(float),
            "content": Parameter(str),
            "content_weight": Parameter(float),
        }

    def weights(self) -> "tuple[WeightFile, ...]":
        from kdbench.networks.weights import VGG

        return (VGG,)

    def recipe(self, test_set: TestSet, data: Data) -> dict[str, Any]:
        """Return the digest of the style's picture, since the user may give any file."""
        picture = style_picture(str(test_set.parameters["style"]), data.image_size)
        return {"style_sha256": array_sha256(picture)}

    def plan(self, test_set: TestSet, workshop: Workshop) -> PiecePlan:
        import torch

        from kdbench.testsets.picture_networks import in_batches
        from kdbench.testsets.vgg import features_of, style_of

        clean, networks, data = workshop.clean, workshop.networks, workshop.track.data
        parameters: dict[str, Any] = dict(test_set.parameters)
        transfer, vgg = style_of(parameters), features_of(parameters, networks.vgg, networks.device)
        picture = style_picture(parameters["style"], data.image_size)
        style = torch.from_numpy(picture).to(networks.device).permute(2, 0, 1)[None].float()
        answers = clean.answers()

        def piece(part: slice) -> Images:
            contents = networks.pixels(clean.images[answers.index[part]], data)
            return in_batches(lambda batch: transfer.transferred(vgg, contents[batch], style), len(contents))

        return PiecePlan(answers=answers, piece=piece)

    def optimisations(self, test_set: TestSet) -> tuple[tuple[tuple[str, ...], int], ...]:
        parameters = test_set.parameters
        layers = (*str(parameters["layers"]).split(), str(parameters["content"]))
        return ((layers, int(parameters["steps"])),)

    def caption(self, test_set: TestSet) -> str:
        return "The whole image has the style of one picture. Shapes remain, but textures are replaced."
