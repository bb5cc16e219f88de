"""Noise: one tile of Gaussian noise, the same for all images, added at one of five sites.

Stored images get their noise in the store. On a track that resizes its images, the evaluation adds it on the device:
the store holds the tile, whose digest the spec pins, and the site of each image.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import AnyArray, Images, Integers
from kdbench.data.synthetic import shipped_tables
from kdbench.errors import DataError
from kdbench.files import DAMAGES
from kdbench.randomness import below
from kdbench.resources import shipped
from kdbench.spec import Data, TestSet, Track
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.arrays import Manipulation
from kdbench.testsets.draws import compare_with_pinned, image_words
from kdbench.testsets.kinds.kind import Kind, variant
from kdbench.testsets.plans import BuildPlan, ChunkPlan, TablePlan, Workshop

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED_TILE = ("datasets", "cifar10", "tile.npz")
SIZES = ((1, 2), (3, 2))  # sizes of the diagnostic variants, as fractions of the primary set's size
DEFAULT_PATCH = 16  # pixels per side of a ViT's patch where the spec gives none: timm's default
STORED_CENTRES = np.array(
    [(16, 16), (8, 8), (8, 24), (24, 8), (24, 24)]
)  # positions of the sites (down, right) in 32nds of the image's side
DEVICE_CENTRES = np.array(
    [(7, 7), (4, 4), (4, 10), (10, 4), (10, 10)]
)  # positions of the sites (down, right) in patches of the ViT
DEVICE_PATCH = 16  # pixels per side of a patch of the ViT that sees resized images


class Noise(Kind):
    axes = ("noise",)

    def parameters(self, data: Data) -> Parameters:
        pinned = {"tile_sha256": Parameter(str, required=False)} if data.resize is not None else {}
        return {"size": Parameter(int, least=1), "offset": Parameter(int, required=False), **pinned}

    def plan(self, test_set: TestSet, workshop: Workshop) -> BuildPlan:
        clean, data = workshop.clean, workshop.track.data
        parameters: dict[str, Any] = dict(test_set.parameters)
        if data.resize is None:
            keywords = {"tile": shipped_tables().patch, **parameters}
            arrays = (clean.images, clean.ids)
            return ChunkPlan(answers=clean.answers(), function=noisy, arrays=arrays, keywords=keywords)
        noise = noise_table(clean.ids, data.image_size, **parameters)
        return TablePlan(answers=clean.answers(), tables={"tile": noise.tile, "corners": noise.corners})

    def caption(self, test_set: TestSet) -> str:
        size = test_set.parameters.get("size")
        return f"Strong noise covers {size}×{size} pixels at one of five places. It is the same in all images."

    def tables(self, data: Data) -> tuple[str, ...]:
        return ("tile", "corners") if data.resize is not None else ()

    def manipulation(self, test_set: TestSet, arrays: Mapping[str, AnyArray]) -> "NoisePatch":
        return NoisePatch(arrays["tile"], arrays["corners"])

    def variants(self, primary: TestSet, track: Track) -> Iterator[TestSet]:
        """Yield smaller and larger noise, and noise that is shifted by half a patch of the ViT."""
        size = int(primary.parameters["size"])
        for numerator, denominator in SIZES:
            yield variant(primary, f"{size * numerator // denominator}", size=size * numerator // denominator)
        patch = int(track.backbones.vit.arguments.get("patch_size", DEFAULT_PATCH))
        yield variant(primary, "offset", offset=patch // 2)


def noisy(images: Images, ids: Integers, tile: NDArray[np.int16], *, size: int, offset: int = 0) -> Images:
    """Add the centre of the tile to each image and clip.

    Args:
        images: (n, H, H, 3) uint8.
        ids: (n,) positions in the whole data set, which determine each image's site.
        tile: (T, T, 3) grey levels, T at least `size`.
        size: pixels per side of the added noise.
        offset: pixels by which all sites are moved down and right, off the lattice of a ViT's patches.
    """
    side = images.shape[1]
    sites = STORED_CENTRES * side // 32 - size // 2 + offset
    if size > tile.shape[0] or sites.min() < 0 or sites.max() + size > side:
        raise ValueError(f"noise of {size} pixels does not fit a {side}-pixel image and a {tile.shape[0]}-pixel tile")
    centre = _centre(tile, size).astype(np.int32)
    chosen = _sites(ids, len(sites))
    result = images.copy()
    for number, (top, left) in enumerate(sites):
        window = (chosen == number, slice(top, top + size), slice(left, left + size))
        result[window] = np.clip(images[window].astype(np.int32) + centre, 0, 255)
    return result


@dataclass(frozen=True)
class NoisePatch(Manipulation):
    """Noise to be added, clipped to the range of a pixel.

    Attributes:
        tile: (s, s, 3) int16 grey levels.
        corners: (n, 2) int16, pixels down and right to the patch's top-left corner.
    """

    tile: NDArray[np.int16]
    corners: NDArray[np.int16]

    @property
    def arrays(self) -> tuple[NDArray[np.integer], ...]:
        return (self.tile, self.corners)

    def apply(self, pixels: "Tensor", rows: slice | Integers) -> "Tensor":
        import torch

        size, corners = len(self.tile), self.corners[rows]
        tile = torch.from_numpy(self.tile.astype(np.float32)).to(pixels.device).permute(2, 0, 1)
        result = pixels.clone()
        for top, left in np.unique(corners, axis=0).tolist():
            there = torch.from_numpy((corners == (top, left)).all(axis=1)).to(pixels.device)
            window = (there, slice(None), slice(top, top + size), slice(left, left + size))
            result[window] = (pixels[window] + tile).clamp_(0, 255)
        return result


def noise_table(
    ids: Integers, image_size: int, *, size: int, offset: int = 0, tile_sha256: str | None = None
) -> NoisePatch:
    """Return the noise of resized images: one tile for all, at one of five sites each.

    Args:
        ids: (n,) positions in the whole data set, which determine each image's site.
        image_size: pixels per side.
        size: pixels per side of the patch, the centre of the shipped tile.
        offset: pixels by which all sites are moved down and right, off the lattice of the ViT's patches.
        tile_sha256: of the shipped tile.

    Raises:
        DataError: the tile is not the pinned one.
        ValueError: noise of this size fits neither the images nor the tile.
    """
    tile = _shipped_tile(shipped(*SHIPPED_TILE))
    compare_with_pinned("the noise tile", tile, tile_sha256)
    sites = DEVICE_CENTRES * DEVICE_PATCH - size // 2 + offset
    if size > len(tile) or sites.min() < 0 or sites.max() + size > image_size:
        raise ValueError(f"noise of {size} pixels does not fit a {image_size}-pixel image and a {len(tile)}-pixel tile")
    return NoisePatch(_centre(tile, size), sites[_sites(ids, len(sites))].astype(np.int16))


def _sites(ids: Integers, count: int) -> Integers:
    """Return (n,) the number of each image's site."""
    return below(image_words(ids, "noise", per_item=4)[:, 0], count)


def _centre(tile: NDArray[np.int16], size: int) -> NDArray[np.int16]:
    margin = (len(tile) - size) // 2
    return tile[margin : margin + size, margin : margin + size]


@cache
def _shipped_tile(path: Path) -> NDArray[np.int16]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tile: NDArray[np.int16] = arrays["tile"]
    except DAMAGES as error:
        raise DataError(f"noise tile {path} cannot be read: {error}; restore the shipped file") from error
    return tile
