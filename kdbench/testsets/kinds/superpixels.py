"""Locality: superpixels filled with their mean colour. Local texture is lost, but coarse contours remain."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Images
from kdbench.data.store import array_sha256
from kdbench.errors import DataError
from kdbench.files import DAMAGES, atomic_file
from kdbench.resources import shipped
from kdbench.spec import Data, TestSet, Track
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.kinds.kind import GENERATED, Kind, variant
from kdbench.testsets.plans import ChunkPlan, Workshop

SHIPPED_MAPS = ("datasets", "synthetic", "slic_labels.npz")
SEGMENTS = (16, 32, 64, 128)  # in the diagnostic variants; the primary set's own number is left out

SegmentMaps = NDArray[np.uint8]


class Superpixels(Kind):
    axes = ("locality",)

    def parameters(self, data: Data) -> Parameters:
        return {
            "segments": Parameter(int, least=1),
            "compactness": Parameter(float, required=False),
            "sigma": Parameter(float, required=False),
        }

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        shipped_maps = workshop.track.data.source == GENERATED
        return ChunkPlan(
            answers=workshop.clean.answers(),
            function=segmented_and_filled,
            arrays=(workshop.clean.images,),
            keywords={"slic": slic_of(test_set), "shipped_maps": shipped_maps},
        )

    def caption(self, test_set: TestSet) -> str:
        segments = test_set.parameters.get("segments")
        return (
            f"The image is cut into about {segments} superpixels, and each is filled with its mean colour. "
            "Fine detail is lost, but coarse contours remain."
        )

    def variants(self, primary: TestSet, track: Track) -> Iterator[TestSet]:
        """Yield coarser and finer superpixels."""
        for segments in SEGMENTS:
            if segments != primary.parameters["segments"]:
                yield variant(primary, f"{segments}", segments=segments)


@dataclass(frozen=True)
class Slic:
    """SLIC's parameters.

    Attributes:
        segments: requested number; the actual number depends on the image.
        compactness: weight of distance relative to colour.
        sigma: pixels of smoothing before segmentation; without it, strong noise merges neighbouring segments.
    """

    segments: int
    compactness: float = 10.0
    sigma: float = 0.0

    def maps(self, images: Images) -> SegmentMaps:
        """Return (n, H, W) uint8, the superpixel of each pixel. SLIC uses floating point, so machines may differ."""
        from skimage.segmentation import slic

        maps = np.empty(images.shape[:3], np.uint8)
        for row, image in enumerate(images):
            labels = slic(
                image,
                n_segments=self.segments,
                compactness=self.compactness,
                sigma=self.sigma,
                max_num_iter=10,
                start_label=0,
                enforce_connectivity=True,
                channel_axis=-1,
            )
            if labels.max() > 255:
                raise ValueError(f"SLIC made {labels.max() + 1} segments; at most 256 are supported")
            maps[row] = labels
        return maps


def slic_of(test_set: TestSet) -> Slic:
    """Return SLIC as the parameters of a set describe it."""
    parameters: dict[str, Any] = dict(test_set.parameters)
    return Slic(**parameters)


def segmented_and_filled(images: Images, *, slic: Slic, shipped_maps: bool) -> Images:
    """Return images filled by segment, with the shipped maps of synthetic images or with maps that SLIC computes."""
    return filled(images, shipped_or_computed(images, slic) if shipped_maps else slic.maps(images))


def filled(images: Images, maps: SegmentMaps) -> Images:
    """Return (n, H, W, 3) images whose segments have their mean colour, rounded half up, by integer arithmetic."""
    count = len(images)
    flat = (maps.reshape(count, -1).astype(np.int64) + 256 * np.arange(count)[:, None]).ravel()
    sizes = np.maximum(np.bincount(flat, minlength=256 * count), 1)
    result = np.empty((flat.size, 3), np.uint8)
    for channel in range(3):
        sums = np.zeros(256 * count, np.int64)
        np.add.at(sums, flat, images[..., channel].ravel())
        result[:, channel] = ((2 * sums + sizes) // (2 * sizes))[flat]
    return result.reshape(images.shape)


def shipped_or_computed(images: Images, slic: Slic) -> SegmentMaps:
    """Return the segment map of each synthetic image: the shipped one if there is one, else the one that SLIC computes.

    With the shipped maps, the locality set has the same bytes on every machine. They were made for the benchmark's own
    clean images, so images with another look have none.
    """
    known = _shipped_maps(shipped(*SHIPPED_MAPS), slic)
    maps = np.empty(images.shape[:3], np.uint8)
    for row, image in enumerate(images):
        shipped_map = known.get(array_sha256(image))
        maps[row] = shipped_map if shipped_map is not None else slic.maps(image[None])[0]
    return maps


def write_maps(path: Path, images: Images, slic: Slic) -> None:
    """Write the maps to ship: with each the digest of its image, and SLIC's parameters."""
    digests = np.array([list(bytes.fromhex(array_sha256(image))) for image in images], np.uint8)
    with atomic_file(path) as file:
        np.savez_compressed(file, labels=slic.maps(images), sha256=digests, parameters=_as_row(slic))


@cache
def _shipped_maps(path: Path, slic: Slic) -> dict[str, SegmentMaps]:
    """Return the shipped segment maps for these parameters, if any, by the SHA-256 of their image.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not np.array_equal(arrays["parameters"], _as_row(slic)):
                return {}
            pairs = zip(arrays["sha256"], arrays["labels"], strict=True)
            return {bytes(digest).hex(): segment_map for digest, segment_map in pairs}
    except DAMAGES as error:
        raise DataError(f"{path} cannot be read as segment maps: {error}; restore the shipped file") from error


def _as_row(slic: Slic) -> NDArray[np.float64]:
    return np.array([slic.segments, slic.compactness, slic.sigma], np.float64)
