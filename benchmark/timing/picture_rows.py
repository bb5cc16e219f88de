"""Measures the time for building the test sets that need networks, and whether a device makes the same bytes twice."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.timing.rows import CheckRow, seconds
from kdbench.spec import TestSet, Track
from kdbench.testsets.picture_networks import BATCH, PictureNetworks
from kdbench.testsets.vgg import Adam, VggFeatures, repeatable, style_of, texture_of

ROUNDS = 2


@dataclass(frozen=True)
class Effort:
    """The size of a measurement.

    Attributes:
        masks: number of images whose objects are masked.
        pictures: number of images that are optimised at once.
        steps: number of steps of their optimisation.
    """

    masks: int = 64
    pictures: int = BATCH
    steps: int = 10


def mask_rows(track: Track, networks: PictureNetworks, effort: Effort) -> Iterator[CheckRow]:
    """Measure and repeat the making of object masks, on images of noise."""
    size, images = track.data.stored_size, _rendered(track, "fcn-silhouette").images
    stored = np.random.default_rng(0).integers(0, 256, (effort.masks, size, size, 3), np.uint8)
    taken = seconds(lambda: networks.segment(stored, track.data), ROUNDS, networks.device) / len(stored)
    yield CheckRow("object masks", f"{1 / taken:.0f} images/s, {images * taken / 60:.1f} min for {images}")
    first, second = (networks.segment(stored, track.data) for _ in range(2))
    equal = np.array_equal(first.masks, second.masks) and np.array_equal(first.objects, second.objects)
    yield _repeated("object masks", equal=equal)


def texture_rows(track: Track, networks: PictureNetworks, effort: Effort) -> Iterator[CheckRow]:
    """Measure and repeat the making of textures that fill an image."""
    test_set = _rendered(track, "vgg19-texture")
    recipe = texture_of(test_set.parameters)
    short = replace(recipe, adam=replace(recipe.adam, steps=effort.steps))
    vgg, sources = _features(networks, test_set.parameters), _noise(track, networks, effort)
    weight = torch.ones_like(sources[:, 0])

    def make() -> Tensor:
        return short.synthesised(vgg, sources, weight, sources.flip(0))

    yield from _optimised("texture synthesis", make, test_set, recipe.adam, effort, networks.device)


def style_rows(track: Track, networks: PictureNetworks, effort: Effort) -> Iterator[CheckRow]:
    """Measure and repeat the making of images in the style of a picture."""
    test_set = _rendered(track, "vgg19-style")
    recipe = style_of(test_set.parameters)
    short = replace(recipe, adam=replace(recipe.adam, steps=effort.steps))
    vgg, contents = _features(networks, test_set.parameters), _noise(track, networks, effort)

    def make() -> Tensor:
        return short.transferred(vgg, contents, contents[:1])

    yield from _optimised("style transfer", make, test_set, recipe.adam, effort, networks.device)


def _rendered(track: Track, rendering: str) -> TestSet:
    """Return the first test set of a track with this rendering."""
    return next(test_set for test_set in track.test_sets if test_set.parameters.get("rendering") == rendering)


def _features(networks: PictureNetworks, parameters: Mapping[str, Any]) -> VggFeatures:
    return VggFeatures(networks.vgg, parameters["pooling"]).to(networks.device).requires_grad_(False)


def _noise(track: Track, networks: PictureNetworks, effort: Effort) -> Tensor:
    """Return (B, 3, H, H) random pixels in [0, 255]."""
    size = track.data.image_size
    return torch.rand(effort.pictures, 3, size, size, device=networks.device) * 255


def _optimised(
    check: str, make: Callable[[], Tensor], test_set: TestSet, whole: Adam, effort: Effort, device: torch.device
) -> Iterator[CheckRow]:
    """Measure and repeat `make`, for some images and some of the steps of the complete recipe."""
    with repeatable():
        taken = seconds(make, ROUNDS, device) / effort.pictures / effort.steps
        equal = torch.equal(make(), make())
    minutes = taken * whole.steps * test_set.images / 60
    yield CheckRow(check, f"{minutes:.0f} min for {test_set.images} images of {whole.steps} steps")
    yield _repeated(check, equal=equal)


def _repeated(check: str, *, equal: bool) -> CheckRow:
    return CheckRow(f"{check}, repeated", "the same bytes" if equal else "other bytes", equal)
