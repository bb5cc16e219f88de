"""Occlusion maps: the squares of an image that matter to a network, and the agreement of two networks on them.

`kdbench.evaluation.similarity` documents the numbers. Only trusted code runs here.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.training_sets import balanced_subset
from kdbench.evaluation.answers import image_batches
from kdbench.networks.backbone import Backbone
from kdbench.records import OCCLUSION_ON_OBJECT, OCCLUSION_UNDEFINED
from kdbench.spec import Data
from kdbench.testsets.arrays import TestArrays

OcclusionMaps = NDArray[np.float64]
PerImage = NDArray[np.float64]

OCCLUSION_IMAGES = 500
TOP_SHARE = 0.2  # share of a map's squares whose overlap is compared
OCCLUDER = {32: 4, 224: 32}  # side of a square in pixels, by image size: whole patches of the ViT


def first_occlusion_maps(network: Backbone, clean: TestArrays, data: Data, device: torch.device) -> OcclusionMaps:
    """Return the occlusion maps of the clean images at `occluded_rows`."""
    return occlusion_maps(network, clean.images[occluded_rows(clean)], data, device)


def occluded_rows(clean: TestArrays) -> NDArray[np.int64]:
    """Return the rows of the first 500 clean images, balanced over the classes to within one."""
    return balanced_subset(clean.targets.astype(np.int64), min(OCCLUSION_IMAGES, len(clean)))


@torch.inference_mode()
def occlusion_maps(network: Backbone, images: NDArray[np.uint8], data: Data, device: torch.device) -> OcclusionMaps:
    """Return how much each square of an image matters to the network's answer, right or wrong.

    This is the decrease of log p of the predicted class when the mean colour covers the square.

    Source: Zeiler & Fergus (2014), arXiv:1311.2901, section 4.2; the squares tile the ViT's lattice.

    Args:
        network: in evaluation mode.
        images: (n, H, H, 3) uint8; networks see them at a size in `OCCLUDER`.
        data: normalisation of the track, and the mean colour.
        device: on which to compute.

    Returns:
        (n, K * K) nats, row by row, with K squares per side.
    """
    falls = []
    for batch in image_batches(images, data, network, device):
        uncovered = F.log_softmax(network(batch).logits.double(), dim=1)
        log_p, predicted = uncovered.max(dim=1, keepdim=True)
        covered = [
            F.log_softmax(network(occluded).logits.double(), dim=1).gather(1, predicted)
            for occluded in _with_a_square_covered(batch)
        ]
        falls.append((log_p - torch.cat(covered, dim=1)).cpu())
    return torch.cat(falls).numpy()


def _with_a_square_covered(batch: Tensor) -> Iterator[Tensor]:
    """Yield a normalised batch (B, 3, H, H) with each of the squares set to the mean colour, one at a time."""
    size = batch.shape[-1]
    side = OCCLUDER[size]
    for top in range(0, size, side):
        for left in range(0, size, side):
            covered = batch.clone()
            covered[:, :, top : top + side, left : left + side] = 0.0
            yield covered


def mass_on_objects(maps: OcclusionMaps, objects: NDArray[np.uint8]) -> dict[str, float]:
    """Return `occlusion_on_object` of a network.

    A square that the object covers partly counts by the covered share. Maps without a positive square are left out.

    Args:
        maps: (n, K * K) occlusion maps.
        objects: (n, H, H) how much of each pixel the object covers, 255 for all of it.
    """
    side = round(maps.shape[1] ** 0.5)
    pixels = objects.shape[1] // side
    covered = objects.reshape(-1, side, pixels, side, pixels).mean(axis=(2, 4)).reshape(maps.shape) / 255
    mass = np.maximum(maps, 0.0)
    with np.errstate(invalid="ignore"):
        shares = (mass * covered).sum(axis=1) / mass.sum(axis=1)
    return _finite({OCCLUSION_ON_OBJECT: _mean(shares)})


def map_similarity(student: OcclusionMaps, teacher: OcclusionMaps) -> dict[str, float]:
    """Return the numbers that compare two networks' occlusion maps (n, K * K) of the same images."""
    plain, off_centre = map_correlations(student, teacher)
    defined = np.isfinite(plain)
    return _finite(
        {
            "occlusion_correlation": _mean(plain),
            "occlusion_correlation_off_centre": _mean(off_centre),
            "occlusion_overlap": _mean(np.where(defined, top_overlaps(student, teacher), np.nan)),
            OCCLUSION_UNDEFINED: 1.0 - float(defined.mean()),
        }
    )


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _mean(values: PerImage) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def map_correlations(first: OcclusionMaps, second: OcclusionMaps) -> tuple[PerImage, PerImage]:
    """Return Spearman's correlation of each image's maps, plain and with closeness to the centre partialled out.

    Args:
        first, second: (n, K * K) maps.

    Returns:
        (n,) each; NaN if a map is constant and, in the second array, also if a map depends on the closeness alone.
    """
    centre = closeness_to_centre(round(first.shape[1] ** 0.5))
    pair, a, b = (_rank_correlation(*maps) for maps in ((first, second), (first, centre), (second, centre)))
    free = (1 - a**2) * (1 - b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pair, np.where(free > 1e-12, (pair - a * b) / np.sqrt(free), np.nan)


def top_overlaps(first: OcclusionMaps, second: OcclusionMaps) -> PerImage:
    """Return (n,) intersection over union of the highest fifth of the squares in two maps (n, K * K)."""
    count = round(TOP_SHARE * first.shape[1])
    tops = [np.argsort(-maps, axis=1, kind="stable")[:, :count] for maps in (first, second)]
    shared = np.array([len(np.intersect1d(*squares)) for squares in zip(*tops, strict=True)])
    overlaps: PerImage = shared / (2 * count - shared)
    return overlaps


def closeness_to_centre(squares: int) -> OcclusionMaps:
    """Return (1, squares^2) values with the order of a round Gaussian at the centre; ties are exact."""
    offset = (2 * np.arange(squares) + 1 - squares) ** 2
    closeness: OcclusionMaps = -(offset[:, None] + offset[None, :]).reshape(1, -1).astype(np.float64)
    return closeness


def _rank_correlation(first: OcclusionMaps, second: OcclusionMaps) -> PerImage:
    """Return (n,) the correlation of the ranks in each row, ties at their mean rank; NaN where a row is constant."""
    a, b = (rankdata(maps, axis=1) for maps in (first, second))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: PerImage = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return correlation
