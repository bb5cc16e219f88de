"""Textures of photographs, synthesised from the features of VGG-19 (Gatys et al. 2015, arXiv:1505.07376).

The optimisation starts from noise and gives it the texture of the image's object, whose mask FCN-ResNet-101 finds. With
the place "field", the texture fills the image; with the place "object", it covers only the object.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Images, Integers, Masks
from kdbench.spec import Data, TestSet, Track
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.draws import image_words
from kdbench.testsets.kinds.kind import PHOTOGRAPHS, RENDERING, Kind
from kdbench.testsets.plans import ObjectMasks, PiecePlan, Workshop

if TYPE_CHECKING:
    from kdbench.networks.weights import WeightFile

FIELD, OBJECT = "field", "object"
LEAST_SOURCE = 0.02  # share of the image that the object's interior must cover to be a source of texture
MASKS_AT_ONCE = 32
FEATURES = {
    "layers": Parameter(str),
    "weights": Parameter(str),
    "pooling": Parameter(str, choices=("average", "max")),
    "steps": Parameter(int, least=1),
    "learning_rate": Parameter(float),
}


class VggTexture(Kind):
    axes = ("shape", "texture")
    sources = PHOTOGRAPHS
    rendering = "vgg19-texture"

    def parameters(self, data: Data) -> Parameters:
        place = Parameter(str, choices=(FIELD, OBJECT))
        return {
            "rendering": RENDERING,
            "place": place,
            **FEATURES,
            "erosion": Parameter(int),
            "fallback": Parameter(int),
        }

    def weights(self) -> "tuple[WeightFile, ...]":
        from kdbench.networks.weights import FCN, VGG

        return (FCN, VGG)

    def plan(self, test_set: TestSet, workshop: Workshop) -> PiecePlan:
        if test_set.parameters["place"] == OBJECT:
            return _laid_over_objects(workshop.images_of(_field_of(test_set, workshop.track)), workshop)
        return _fields(dict(test_set.parameters), workshop)

    def optimisations(self, test_set: TestSet) -> tuple[tuple[tuple[str, ...], int], ...]:
        """Return the layers and steps of the synthesis; with the place "object", a set uses the textures of another."""
        if test_set.parameters["place"] == OBJECT:
            return ()
        return ((tuple(str(test_set.parameters["layers"]).split()), int(test_set.parameters["steps"])),)

    def caption(self, test_set: TestSet) -> str:
        if test_set.parameters["place"] == OBJECT:
            return "A texture like the object's own covers the object. The outline remains."
        return "A texture like the object's own covers the whole image. Only the texture is left."


def _field_of(test_set: TestSet, track: Track) -> TestSet:
    """Return the set with the same textures in the place "field"."""
    wanted = {**test_set.parameters, "place": FIELD}
    field = next((candidate for candidate in track.test_sets if candidate.parameters == wanted), None)
    if field is None:
        raise ValueError('the track has no set with the same textures and the place "field", which this set needs')
    return field


def _laid_over_objects(field: Images, workshop: Workshop) -> PiecePlan:
    import torch

    from kdbench.testsets.picture_networks import as_images

    clean, objects, networks, data = workshop.clean, workshop.network_masks, workshop.networks, workshop.track.data

    def piece(part: slice) -> Images:
        rows = objects.rows[part]
        mask = networks.masks(objects.masks[rows])
        return as_images(
            torch.where(mask, networks.pixels(field[rows], data), networks.pixels(clean.images[rows], data))
        )

    return PiecePlan(answers=clean.answers(objects.rows), facts=objects.facts, piece=piece)


def _fields(parameters: Mapping[str, Any], workshop: Workshop) -> PiecePlan:
    import torch

    from kdbench.testsets.picture_networks import in_batches
    from kdbench.testsets.vgg import features_of, texture_of

    clean, networks, data = workshop.clean, workshop.networks, workshop.track.data
    synthesis, vgg = texture_of(parameters), features_of(parameters, networks.vgg, networks.device)
    regions, from_object = source_regions(
        workshop.network_masks, parameters["erosion"], central_square(data.image_size, parameters["fallback"])
    )
    answers = clean.answers()

    def piece(part: slice) -> Images:
        rows = answers.index[part]
        pixels = networks.pixels(clean.images[rows], data).cpu().numpy()
        grown = np.stack([grown_outwards(image, mask) for image, mask in zip(pixels, regions[rows], strict=True)])
        start = torch.from_numpy(noise_fields(clean.ids[rows], data.image_size)).to(networks.device)
        sources, region = (torch.from_numpy(array).to(networks.device) for array in (grown, regions[rows]))
        return in_batches(
            lambda batch: synthesis.synthesised(vgg, sources[batch], region[batch].float(), start[batch].float()),
            len(rows),
        )

    facts = {**workshop.network_masks.facts, "source_from_object": clean.share_by_class(from_object)}
    return PiecePlan(answers=answers, facts=facts, piece=piece)


def source_regions(objects: ObjectMasks, erosion: int, stand_in: Masks) -> tuple[Masks, Masks]:
    """Return (n, H, H) where texture is taken from, and (n,) whether that is the object.

    Args:
        objects: masks of the objects.
        erosion: width of the object's rim that is left out, in pixels.
        stand_in: (H, H) the source of images whose object is too small.
    """
    masks = objects.masks
    inner = np.concatenate(
        [eroded(masks[start : start + MASKS_AT_ONCE], erosion) for start in range(0, len(masks), MASKS_AT_ONCE)]
    )
    from_object = inner.mean(axis=(1, 2)) >= LEAST_SOURCE
    inner[~from_object] = stand_in
    return inner, from_object


def noise_fields(ids: Integers, size: int) -> Images:
    """Return (n, 3, size, size) random pixels, which depend on nothing but the id of each image."""
    count = 3 * size * size
    words = [image_words(np.array([number]), "texture", "start", per_item=-(-count // 8))[0] for number in ids]
    fields = [np.ascontiguousarray(word, dtype="<u8").view(np.uint8)[:count].reshape(3, size, size) for word in words]
    return np.stack(fields)


def eroded(masks: Masks, pixels: int) -> Masks:
    """Return (n, H, H) masks without the pixels that lie within a square distance of their rim.

    The image's edge is not a rim.
    """
    import torch
    from torch.nn import functional as F

    near = torch.from_numpy(~masks)[:, None].float()
    for reach in ((pixels, 0), (0, pixels)):  # a square window is a column of a row
        near = F.max_pool2d(near, (2 * reach[0] + 1, 2 * reach[1] + 1), stride=1, padding=reach)
    return np.asarray((near[:, 0] == 0).numpy(), bool)


def central_square(size: int, side: int) -> Masks:
    """Return (size, size) bool, a square of `side` pixels in the middle."""
    square = np.zeros((size, size), bool)
    first = (size - side) // 2
    square[first : first + side, first : first + side] = True
    return square


def grown_outwards(image: NDArray[np.float32], region: Masks) -> NDArray[np.float32]:
    """Return an image (3, H, H) in which the nearest pixel of a region replaces each pixel outside of it."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~region, return_distances=False, return_indices=True)
    grown: NDArray[np.float32] = image[:, nearest[0], nearest[1]]
    return grown
