"""Object masks from FCN-ResNet-101 (Long et al. 2015), with torchvision's weights for the labels of Pascal VOC.

The mask of an image contains every pixel of any foreground class. VOC has no deer and no frog, and its vehicles are not
those of CIFAR-10. Therefore any object counts; its class is recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdbench.data.array_types import Images, Integers, Masks
from kdbench.data.cifar10 import CLASSES
from kdbench.data.pixels import pixels_at_size
from kdbench.networks.weights import FCN, fetch_or_check, load_into
from kdbench.spec import Data

BATCH = 16
AREA = (0.05, 0.90)  # smallest and largest share of the image that an accepted mask covers
LEAST_COVERAGE = 0.5  # share of a class's images; a set that covers a smaller share does not measure that class
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

VOC: Final = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)  # in the order of the network's channels
RIGHT: Final[dict[str, frozenset[str]]] = {
    "airplane": frozenset({"aeroplane"}),
    "automobile": frozenset({"car"}),
    "bird": frozenset({"bird"}),
    "cat": frozenset({"cat"}),
    "deer": frozenset(),
    "dog": frozenset({"dog"}),
    "frog": frozenset(),
    "horse": frozenset({"horse"}),
    "ship": frozenset({"boat"}),
    "truck": frozenset({"bus", "car", "train"}),
}  # for each class of CIFAR-10, the VOC classes that are right or nearest


@dataclass(frozen=True)
class Segmented:
    """The segmentation of n images of H x H pixels.

    Attributes:
        masks: (n, H, H) bool, True for every foreground class; all False if the area is not accepted.
        objects: (n,) int16, the foreground class with the most pixels; 0 without any.
    """

    masks: Masks
    objects: NDArray[np.int16]

    @property
    def covered(self) -> Masks:
        """Whether each mask was accepted, (n,)."""
        return non_empty(self.masks)


class Segmenter(nn.Module):
    """A segmentation network that takes pixels in [0, 255] and gives scores of VOC's classes.

    Args:
        network: returns {"out": (B, 21, H, H)} for normalised images, as torchvision's do.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.network((pixels - cast(Tensor, self.mean)) / cast(Tensor, self.std))["out"]
        return scores


def load_segmenter(device: torch.device, weights_dir: Path | None = None) -> Segmenter:
    """Return torchvision's network with its weights, fetched if necessary; DataError if they are not available."""
    network = new_fcn()
    load_into(network, fetch_or_check(FCN, weights_dir), ignored=lambda name: name.startswith("aux_classifier."))
    return Segmenter(network).to(device).eval()


def new_fcn() -> nn.Module:
    """Return FCN-ResNet-101 with random weights."""
    from torchvision.models.segmentation import fcn_resnet101

    network: nn.Module = fcn_resnet101(weights=None, weights_backbone=None, num_classes=len(VOC), aux_loss=False)
    return network


@torch.inference_mode()
def segmented(segmenter: nn.Module, images: Images, data: Data, device: torch.device) -> Segmented:
    """Return masks of stored images at the track's size.

    Args:
        segmenter: scores (B, 21, H, H) of pixels (B, 3, H, H) in [0, 255].
        images: (n, h, h, 3) uint8.
        data: of the track.
        device: where to compute.
    """
    parts = list(_labels(segmenter, images, data, device))
    labels = np.concatenate(parts)
    masks = accepted(labels > 0)
    counts = np.stack([(labels == label).sum(axis=(1, 2)) for label in range(1, len(VOC))], axis=1)
    objects = np.where(counts.any(axis=1), counts.argmax(axis=1) + 1, 0).astype(np.int16)
    return Segmented(masks, objects)


def _labels(segmenter: nn.Module, images: Images, data: Data, device: torch.device) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(images), BATCH):
        pixels = pixels_at_size(images[start : start + BATCH], data, device)
        yield segmenter(pixels).argmax(dim=1).to(torch.uint8).cpu().numpy()


def non_empty(masks: Masks) -> Masks:
    """Return (n,) whether each of (n, H, H) masks has any pixel."""
    return np.asarray(masks.any(axis=(1, 2)), bool)


def accepted(masks: Masks) -> Masks:
    """Return the masks; those that cover less than .05 or more than .90 of the image are emptied."""
    area = masks.mean(axis=(1, 2))
    good = (area >= AREA[0]) & (area <= AREA[1])
    return np.asarray(masks & good[:, None, None], bool)


def coverage_facts(covered: Masks, objects: NDArray[np.int16], labels: Integers) -> dict[str, object]:
    """Return the facts about masks for a manifest, with one number per class.

    Returns:
        coverage: share of the images whose mask is accepted.
        right_object: share of the images whose mask is accepted and whose largest object is of a class in `RIGHT`.
        uncovered_classes: names of the classes with a coverage below `LEAST_COVERAGE`, which the set does not measure.
    """
    share, right = [], []
    for number, name in enumerate(CLASSES):
        mine = labels == number
        names = [VOC[label] for label in objects[mine & covered]]
        share.append(round(float(covered[mine].mean()), 4) if mine.any() else 0.0)
        right.append(round(sum(voc_name in RIGHT[name] for voc_name in names) / max(1, int(mine.sum())), 4))
    poor = [name for name, covered_share in zip(CLASSES, share, strict=True) if covered_share < LEAST_COVERAGE]
    return {"coverage": share, "right_object": right, "uncovered_classes": poor}
