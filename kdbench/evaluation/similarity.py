"""How alike a student and a teacher are beyond their answers. Only trusted code runs here.

The numbers in `Record.scalars`, of every student beside each teacher of its seed, whichever taught it, so that those of
an independent student can be subtracted. Their names there end in the teacher's bias (`kdbench.records.beside`); one
that cannot be computed is left out:

- `cka`: debiased linear CKA of the pooled features on all clean images; about 0 if unrelated, 1 if equal up to a
  rotation and a scale.
- `occlusion_correlation`: mean over images of the rank correlation of both networks' occlusion maps, -1 to 1.
- `occlusion_correlation_off_centre`: the same, given how close each square is to the image's centre. Objects lie there,
  so that maps of unrelated networks agree as well.
- `occlusion_overlap`: mean over images of the overlap (intersection over union) of the fifth of the squares that matter
  most to each network.
- `occlusion_undefined`: share of the images for which a map is constant, so that these have no correlation.

One is the network's own, where the data says what the object is (`synthetic`):

- `occlusion_on_object`: mean over images of the share of the occlusion map's positive part that lies on the object. A
  network that looks everywhere alike has the object's share of the frame.

Those of the occlusion maps are diagnostics. All are in float32, whatever the track's precision. None is ever ranked:
unrelated networks that learned the same task are alike, too.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.training_sets import balanced_subset
from kdbench.errors import in_a_sentence
from kdbench.evaluation.answers import image_batches
from kdbench.files import DAMAGES, atomic_file
from kdbench.networks.backbone import Backbone
from kdbench.records import OCCLUSION, OCCLUSION_ON_OBJECT, OCCLUSION_UNDEFINED
from kdbench.spec import Data
from kdbench.testsets.arrays import TestArrays

Floats = NDArray[np.float64]

OCCLUSION_IMAGES = 500
TOP_SHARE = 0.2  # of a map's squares
OCCLUDER = {32: 4, 224: 32}  # pixels a side, by image size: whole patches of the ViT


def feature_similarity(
    student: Backbone, teacher: Backbone, clean: TestArrays, data: Data, device: torch.device
) -> dict[str, float]:
    """`cka` of two networks that are ready to be asked, on all images of the clean set."""
    features = (pooled_features(network, clean.images, data, device) for network in (student, teacher))
    return _finite({"cka": debiased_cka(*features)})


def map_similarity(student: Floats, teacher: Floats) -> dict[str, float]:
    """The numbers on two networks' occlusion maps (n, K * K) of the same images."""
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


def mass_on_objects(maps: Floats, objects: NDArray[np.uint8]) -> dict[str, float]:
    """The number on occlusion maps (n, K * K) and how much of each pixel the object covers, (n, H, H) of 255.

    A square that the object covers in part counts by that part; a map without a positive square does not count.
    """
    side = round(maps.shape[1] ** 0.5)
    pixels = objects.shape[1] // side
    covered = objects.reshape(-1, side, pixels, side, pixels).mean(axis=(2, 4)).reshape(maps.shape) / 255
    mass = np.maximum(maps, 0.0)
    with np.errstate(invalid="ignore"):
        shares = (mass * covered).sum(axis=1) / mass.sum(axis=1)
    return _finite({OCCLUSION_ON_OBJECT: _mean(shares)})


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


@torch.inference_mode()
def pooled_features(network: Backbone, images: NDArray[np.uint8], data: Data, device: torch.device) -> Floats:
    """(n, F) what the classifier reads of (n, H, W, 3) uint8 images."""
    needs = frozenset({"pooled"})
    parts = [network(batch, needs).pooled.float().cpu() for batch in image_batches(images, data, network, device)]
    features: Floats = torch.cat(parts).double().numpy()
    return features


def debiased_cka(x: Floats, y: Floats) -> float:
    """Linear centred kernel alignment with the unbiased estimator of HSIC; NaN if a side does not vary.

    The usual estimator grows with the number of features: unrelated ones of 2,048 and 768 on 1,000 images get .54.

    Source: Song et al. (2012), JMLR 13, eq. 5; Nguyen, Raghu & Kornblith (2021), arXiv:2010.15327, eq. 3.

    Args:
        x, y: (n, P) and (n, Q) features of the same n images, n at least 4.
    """
    if len(x) < 4:
        return float("nan")
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    own = _unbiased_hsic(x, x) * _unbiased_hsic(y, y)
    return float(_unbiased_hsic(x, y) / np.sqrt(own)) if own > 0 else float("nan")


def _unbiased_hsic(x: Floats, y: Floats) -> float:
    """HSIC of linear kernels K = x x', L = y y' with zero diagonals, in n P Q operations: no (n, n) matrix is made."""
    n = len(x)
    square_x, square_y = (x**2).sum(axis=1), (y**2).sum(axis=1)
    trace = ((x.T @ y) ** 2).sum() - square_x @ square_y
    rows_x, rows_y = x @ x.sum(axis=0) - square_x, y @ y.sum(axis=0) - square_y
    whole = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    return float((trace + whole - 2 / (n - 2) * (rows_x @ rows_y)) / (n * (n - 3)))


def _with_a_square_covered(batch: Tensor) -> Iterator[Tensor]:
    """A normalised batch (B, 3, H, H) with each of the squares set to the mean colour, one at a time."""
    size = batch.shape[-1]
    side = OCCLUDER[size]
    for top in range(0, size, side):
        for left in range(0, size, side):
            covered = batch.clone()
            covered[:, :, top : top + side, left : left + side] = 0.0
            yield covered


def occluded_rows(clean: TestArrays) -> NDArray[np.int64]:
    """The first 500 clean images, the same number of each class to within one."""
    return balanced_subset(clean.targets.astype(np.int64), min(OCCLUSION_IMAGES, len(clean)))


def first_occlusion_maps(network: Backbone, clean: TestArrays, data: Data, device: torch.device) -> Floats:
    """`occlusion_maps` of `occluded_rows`."""
    return occlusion_maps(network, clean.images[occluded_rows(clean)], data, device)


@torch.inference_mode()
def occlusion_maps(network: Backbone, images: NDArray[np.uint8], data: Data, device: torch.device) -> Floats:
    """How much each square of an image matters to the network's answer, right or wrong.

    The fall of log p, when the mean colour covers the square, of the class that is predicted without it.

    Source: Zeiler & Fergus (2014), arXiv:1311.2901, section 4.2; squares on the ViT's lattice, side by side.

    Args:
        network: in evaluation mode.
        images: (n, H, H, 3) uint8; networks see them at a size in `OCCLUDER`.
        data: normalisation of the track, and the mean colour.
        device: where to compute.

    Returns:
        (n, K * K) nats, row by row, K squares a side.
    """
    falls = []
    for batch in image_batches(images, data, network, device):
        whole = F.log_softmax(network(batch).logits.double(), dim=1)
        log_p, predicted = whole.max(dim=1, keepdim=True)
        covered = [
            F.log_softmax(network(one).logits.double(), dim=1).gather(1, predicted)
            for one in _with_a_square_covered(batch)
        ]
        falls.append((log_p - torch.cat(covered, dim=1)).cpu())
    return torch.cat(falls).numpy()


def write_maps(folder: Path, maps: Floats) -> None:
    """Keeps occlusion maps beside the record."""
    with atomic_file(folder / OCCLUSION) as file:
        np.savez_compressed(file, maps=maps.astype(np.float32))


def read_maps(folder: Path) -> Floats | None:
    """The occlusion maps kept in `folder`, None if there are none, or damaged ones: the weights give them again."""
    if not (folder / OCCLUSION).exists():
        return None
    try:
        with np.load(folder / OCCLUSION, allow_pickle=False) as arrays:
            maps: Floats = arrays["maps"].astype(np.float64)
    except DAMAGES as error:
        print(f"{folder / OCCLUSION} is damaged and not used: {in_a_sentence(error)}")
        return None
    return maps


def map_correlations(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Spearman's correlation of each image's maps, plain and with closeness to the centre partialled out.

    Args:
        first, second: (n, K * K) maps.

    Returns:
        (n,) each; NaN where a map is constant, in the second also where one is a function of the closeness alone.
    """
    centre = closeness_to_centre(round(first.shape[1] ** 0.5))
    pair, a, b = (_rank_correlation(*maps) for maps in ((first, second), (first, centre), (second, centre)))
    free = (1 - a**2) * (1 - b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pair, np.where(free > 1e-12, (pair - a * b) / np.sqrt(free), np.nan)


def top_overlaps(first: Floats, second: Floats) -> Floats:
    """(n,) intersection over union of the fifth of the squares that each of two maps (n, K * K) puts highest."""
    count = round(TOP_SHARE * first.shape[1])
    tops = [np.argsort(-one, axis=1, kind="stable")[:, :count] for one in (first, second)]
    shared = np.array([len(np.intersect1d(*rows)) for rows in zip(*tops, strict=True)])
    overlaps: Floats = shared / (2 * count - shared)
    return overlaps


def closeness_to_centre(squares: int) -> Floats:
    """(1, squares^2) values that order the squares as any round Gaussian at the image's centre does; ties are exact."""
    offset = (2 * np.arange(squares) + 1 - squares) ** 2
    closeness: Floats = -(offset[:, None] + offset[None, :]).reshape(1, -1).astype(np.float64)
    return closeness


def _rank_correlation(first: Floats, second: Floats) -> Floats:
    """(n,) correlation of the ranks in each row, ties at their mean rank; NaN where a row is constant."""
    a, b = (rankdata(one, axis=1) for one in (first, second))
    a, b = (one - one.mean(axis=1, keepdims=True) for one in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: Floats = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return correlation
