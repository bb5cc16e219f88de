"""The test sets that networks make: shapes from FCN-ResNet-101, textures from VGG-19, at the track's size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.data.pixels import pixels_at_size
from kdbench.networks.device import forget_peak_memory
from kdbench.spec import Data, TestSet
from kdbench.testsets.draws import image_words
from kdbench.testsets.fcn import Segmented, disc, load_segmenter, segmented
from kdbench.testsets.plans import Base
from kdbench.testsets.shape import silhouettes
from kdbench.testsets.style_pictures import style_picture
from kdbench.testsets.vgg import VggFeatures, load_vgg, repeatable, style_of, texture_of

LEAST_SOURCE = 0.02  # share of the image that the object's interior must cover to be a source of texture
BATCH = 32  # images that are optimised at once

Images = NDArray[np.uint8]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Networks:
    """The networks that test sets are made with, loaded when they are first needed.

    Attributes:
        device: where they compute.
        make_segmenter, make_vgg: load them onto a device.
    """

    device: torch.device
    make_segmenter: Callable[[torch.device], nn.Module] = load_segmenter
    make_vgg: Callable[[torch.device], nn.Sequential] = load_vgg

    @cached_property
    def segmenter(self) -> nn.Module:
        return self.make_segmenter(self.device)

    @cached_property
    def vgg(self) -> nn.Sequential:
        return self.make_vgg(self.device)

    def release(self) -> None:
        """Gives their memory back to the device."""
        for name in ("segmenter", "vgg"):
            self.__dict__.pop(name, None)
        forget_peak_memory(self.device)

    def segment(self, images: Images, data: Data) -> Segmented:
        """Masks of stored images (n, h, h, 3) at the track's size."""
        with repeatable():
            return segmented(self.segmenter, images, data, self.device)


@dataclass(frozen=True)
class Making:
    """How the images of one set are made, in pieces.

    Attributes:
        rows: (n,) of the clean images that they are made from, in order.
        piece: the images of some of these, (k, H, H, 3) uint8, by their place in `rows`.
        facts: worth keeping beside the arrays.
    """

    rows: NDArray[np.int64]
    piece: Callable[[slice], Images]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Workshop:
    """What all sets of a track are made from.

    Attributes:
        base: the stored clean images; `masks` at the track's size and `covered`.
        data: of the track.
        networks: to make them with.
        mask_facts: of the masks.
    """

    base: Base
    data: Data
    networks: Networks
    mask_facts: Mapping[str, Any]

    def making(self, test_set: TestSet, field: Images | None = None) -> Making:
        """How a set is made.

        Args:
            test_set: one that networks make.
            field: the texture fields of all clean images, for the set that lays them over objects.

        Raises:
            KeyError, TypeError, ValueError: its parameters have no recipe.
        """
        parameters: dict[str, Any] = dict(test_set.parameters)
        rendering = parameters.pop("rendering")
        if rendering == "fcn-silhouette":
            return self._silhouettes(**parameters)
        if rendering == "fcn-cut-out":
            return self._cut_outs(**parameters)
        if rendering == "vgg19-texture" and parameters["place"] == "field":
            return self._textures(parameters)
        if rendering == "vgg19-texture" and parameters["place"] == "object" and field is not None:
            return self._laid_over_objects(field)
        if rendering == "vgg19-style":
            return self._styled(parameters)
        raise KeyError(f"no rendering {rendering!r}")

    @property
    def _masks(self) -> Masks:
        assert self.base.masks is not None
        return self.base.masks

    @property
    def _covered(self) -> NDArray[np.int64]:
        assert self.base.covered is not None
        return np.flatnonzero(self.base.covered)

    def _clean(self, rows: NDArray[np.int64]) -> Tensor:
        """(k, 3, H, H) pixels in [0, 255] of clean images, on the device."""
        return pixels_at_size(self.base.images[rows], self.data, self.networks.device)

    def _masks_on_device(self, rows: NDArray[np.int64]) -> Tensor:
        """(k, 1, H, H) bool."""
        return torch.from_numpy(np.array(self._masks[rows])).to(self.networks.device)[:, None]

    def _silhouettes(self, *, foreground: int, background: int, fallback: str = "") -> Making:
        if fallback not in ("", "disc"):
            raise ValueError(f"no fallback {fallback!r}; the only one is 'disc'")
        rows = np.arange(len(self.base.labels)) if fallback else self._covered
        stand_in = disc(self.data.image_size)

        def piece(part: slice) -> Images:
            masks = self._masks[rows[part]]
            empty = ~masks.any(axis=(1, 2), keepdims=True)
            return silhouettes(np.where(empty, stand_in, masks), foreground=foreground, background=background)

        return Making(rows, piece, self.mask_facts)

    def _cut_outs(self, *, background: int) -> Making:
        rows = self._covered

        def piece(part: slice) -> Images:
            mask = self._masks_on_device(rows[part])
            return _as_images(torch.where(mask, self._clean(rows[part]), float(background)))

        return Making(rows, piece, self.mask_facts)

    def _textures(self, parameters: Mapping[str, Any]) -> Making:
        recipe = texture_of(parameters)
        size = self.data.image_size
        regions = self._source_regions(parameters["erosion"], parameters["fallback"])
        vgg = self._features(parameters)

        def piece(part: slice) -> Images:
            rows = np.arange(len(self.base.labels))[part]
            sources, region = self._sources(rows, regions)
            start = torch.from_numpy(noise_fields(self.base.ids[rows], size)).to(self.networks.device)
            return self._in_batches(
                lambda k: recipe.synthesised(vgg, sources[k], region[k].float(), start[k].float()), len(rows)
            )

        facts = {**self.mask_facts, "source_from_object": _share_by_class(regions[1], self.base.labels)}
        return Making(np.arange(len(self.base.labels)), piece, facts)

    def _source_regions(self, erosion: int, fallback: int) -> tuple[Masks, NDArray[np.bool_]]:
        """(n, H, H) where texture is taken from, and (n,) whether that is the object."""
        inner = np.concatenate(
            [eroded(self._masks[start : start + BATCH], erosion) for start in range(0, len(self._masks), BATCH)]
        )
        from_object = inner.mean(axis=(1, 2)) >= LEAST_SOURCE
        inner[~from_object] = central_square(self.data.image_size, fallback)
        return inner, from_object

    def _sources(self, rows: NDArray[np.int64], regions: tuple[Masks, Any]) -> tuple[Tensor, Tensor]:
        """(k, 3, H, H) pixels of which nothing but the source is left, and (k, H, H) bool where it is."""
        region = regions[0][rows]
        clean = self._clean(rows).cpu().numpy()
        grown = np.stack([grown_outwards(one, mask) for one, mask in zip(clean, region, strict=True)])
        device = self.networks.device
        return torch.from_numpy(grown).to(device), torch.from_numpy(region).to(device)

    def _laid_over_objects(self, field: Images) -> Making:
        rows = self._covered

        def piece(part: slice) -> Images:
            texture = pixels_at_size(field[rows[part]], self.data, self.networks.device)
            return _as_images(torch.where(self._masks_on_device(rows[part]), texture, self._clean(rows[part])))

        return Making(rows, piece, self.mask_facts)

    def _styled(self, parameters: Mapping[str, Any]) -> Making:
        recipe = style_of(parameters)
        picture = style_picture(parameters["style"], self.data.image_size)
        style = torch.from_numpy(picture).to(self.networks.device).permute(2, 0, 1)[None].float()
        vgg = self._features(parameters)

        def piece(part: slice) -> Images:
            contents = self._clean(np.arange(len(self.base.labels))[part])
            return self._in_batches(lambda k: recipe.transferred(vgg, contents[k], style), len(contents))

        return Making(np.arange(len(self.base.labels)), piece, {})

    def _features(self, parameters: Mapping[str, Any]) -> VggFeatures:
        return VggFeatures(self.networks.vgg, parameters["pooling"]).to(self.networks.device)

    def _in_batches(self, make: Callable[[slice], Tensor], count: int) -> Images:
        with repeatable():
            parts = [_as_images(make(slice(start, start + BATCH))) for start in range(0, count, BATCH)]
        return np.concatenate(parts)


def _as_images(pixels: Tensor) -> Images:
    """(n, H, H, 3) uint8 of (n, 3, H, H) pixels in [0, 255]."""
    rounded = pixels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return cast(Images, rounded.cpu().numpy())


def noise_fields(ids: NDArray[np.int64], size: int) -> Images:
    """(n, 3, size, size) random pixels of images, each a function of its id alone."""
    count = 3 * size * size
    words = [image_words(np.array([one]), "texture", "start", per_item=-(-count // 8))[0] for one in ids]
    fields = [np.ascontiguousarray(one, dtype="<u8").view(np.uint8)[:count].reshape(3, size, size) for one in words]
    return np.stack(fields)


def eroded(masks: Masks, pixels: int) -> Masks:
    """(n, H, H) masks without what lies within so many pixels (square) of their rim; the image's edge is no rim."""
    near = torch.from_numpy(~masks)[:, None].float()
    for reach in ((pixels, 0), (0, pixels)):  # a square window is a column of a row
        near = F.max_pool2d(near, (2 * reach[0] + 1, 2 * reach[1] + 1), stride=1, padding=reach)
    return cast(Masks, (near[:, 0] == 0).numpy())


def central_square(size: int, side: int) -> Masks:
    """(size, size) bool, a square of `side` pixels in the middle."""
    square = np.zeros((size, size), bool)
    first = (size - side) // 2
    square[first : first + side, first : first + side] = True
    return square


def grown_outwards(image: NDArray[np.float32], region: Masks) -> NDArray[np.float32]:
    """An image (3, H, H) whose pixels outside a region are those of the region that are nearest to them."""
    nearest = ndimage.distance_transform_edt(~region, return_distances=False, return_indices=True)
    grown: NDArray[np.float32] = image[:, nearest[0], nearest[1]]
    return grown


def _share_by_class(chosen: NDArray[np.bool_], labels: NDArray[np.int64]) -> list[float]:
    return [round(float(chosen[labels == one].mean()), 4) for one in range(int(labels.max()) + 1)]
