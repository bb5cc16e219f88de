"""Masks are what the network's scores say, pixel by pixel, and coverage is counted class by class."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdbench.data.cifar10 import CLASSES
from kdbench.data.pixels import resized
from kdbench.spec import Data
from kdbench.testsets.fcn import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    RIGHT,
    VOC,
    Segmenter,
    accepted,
    coverage_facts,
    new_fcn,
    segmented,
)
from kdbench.testsets.kinds.fcn_silhouette import disc
from kdbench.testsets.spec import load_spec
from tests.testsets.small_picture_networks import CAT, DOG, ByColour

PAPER = load_spec().track("cifar10-224").data
CPU = torch.device("cpu")


def small_data(size: int = 64) -> Data:
    """The paper's data at a size that tests can afford."""
    return PAPER.model_copy(update={"image_size": size})


def painted(*boxes: tuple[str, int, int]) -> NDArray[np.uint8]:
    """(1, 32, 32, 3) blue, with boxes of (colour, rows, columns) from the top-left corner, later ones on top."""
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[..., 2] = 255
    for colour, rows, columns in boxes:
        image[0, :rows, :columns] = {"red": (255, 0, 0), "green": (0, 255, 0)}[colour]
    return image


def test_the_labels_are_vocs_as_torchvision_orders_them() -> None:
    from torchvision.models.segmentation import FCN_ResNet101_Weights

    theirs = FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"]
    assert [name.strip("_") for name in theirs] == list(VOC)


def test_every_class_of_cifar10_has_its_names_and_two_have_none() -> None:
    assert tuple(RIGHT) == CLASSES
    assert {name for name, names in RIGHT.items() if not names} == {"deer", "frog"}
    assert set().union(*RIGHT.values()) < set(VOC)


def test_a_mask_is_every_foreground_class_and_its_object_the_largest() -> None:
    masks = segmented(ByColour(), painted(("red", 16, 32), ("green", 16, 8)), small_data(), CPU)
    assert masks.masks.shape == (1, 64, 64)
    assert masks.objects.tolist() == [CAT]
    assert 0.45 < masks.masks.mean() < 0.55
    assert masks.covered.tolist() == [True]


@pytest.mark.parametrize("side", [1, 32])
def test_an_object_that_is_nearly_nothing_or_nearly_everything_does_not_count(side: int) -> None:
    masks = segmented(ByColour(), painted(("red", side, side)), small_data(), CPU)
    assert masks.covered.tolist() == [False]
    assert not masks.masks.any()
    assert masks.objects.tolist() == [CAT]


def test_areas_from_a_twentieth_to_nine_tenths_are_accepted() -> None:
    masks = np.zeros((4, 20, 20), bool)
    for row, pixels in enumerate((19, 20, 360, 361)):
        masks[row].ravel()[:pixels] = True
    assert accepted(masks).any(axis=(1, 2)).tolist() == [False, True, True, False]


def test_coverage_is_counted_by_class_and_poor_classes_are_named() -> None:
    labels = np.repeat(np.arange(10), 4)
    covered = np.ones(40, bool)
    covered[labels == CLASSES.index("frog")] = [True, False, False, False]
    objects = np.full(40, VOC.index("bus"), np.int16)
    objects[labels == CLASSES.index("cat")] = [CAT, CAT, CAT, DOG]
    facts = coverage_facts(covered, objects, labels)
    expected = [1.0] * 10
    expected[CLASSES.index("frog")] = 0.25
    assert facts["coverage"] == expected
    right = dict(zip(CLASSES, facts["right_object"], strict=True))  # type: ignore[call-overload]
    assert right == dict.fromkeys(CLASSES, 0.0) | {"cat": 0.75, "truck": 1.0}
    assert facts["uncovered_classes"] == ["frog"]


def test_the_disc_that_stands_in_has_a_radius_of_twelve_32nds() -> None:
    area = disc(224).mean()
    assert abs(area - np.pi * (12 / 32) ** 2) < 0.002


class Scores(nn.Module):
    """A network of torchvision's form whose scores are a convolution of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.kernel = nn.Conv2d(3, len(VOC), 3, padding=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.kernel(images)}


def reference_mask(image: NDArray[np.uint8], kernel: nn.Conv2d, data: Data) -> NDArray[np.bool_]:
    """The mask of one image in loops over its pixels."""
    weight, bias = kernel.weight.detach().numpy().astype(np.float64), kernel.bias.detach().numpy()  # type: ignore[union-attr]
    planes = resized(torch.from_numpy(image).permute(2, 0, 1)[None].float(), data)[0].numpy().astype(np.float64) / 255
    mean, std = np.array(IMAGENET_MEAN)[:, None, None], np.array(IMAGENET_STD)[:, None, None]
    padded = np.pad((planes - mean) / std, ((0, 0), (1, 1), (1, 1)))
    size = data.image_size
    mask = np.zeros((size, size), bool)
    for row in range(size):
        for column in range(size):
            window = padded[:, row : row + 3, column : column + 3]
            mask[row, column] = np.argmax((weight * window).sum(axis=(1, 2, 3)) + bias) != 0
    return mask


def test_masks_of_a_batch_are_those_of_a_slow_reference() -> None:
    network, data = Scores(), small_data(40)
    with torch.no_grad():
        network.kernel.bias[0] += 1.2  # type: ignore[index]  # so that a good part is background
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    masks = segmented(Segmenter(network), images, data, CPU)
    for row, image in enumerate(images):
        expected = reference_mask(image, network.kernel, data)
        assert 0.05 < expected.mean() < 0.9
        assert (masks.masks[row] != expected).mean() < 0.002  # ties of floats


@pytest.mark.slow
def test_the_real_network_takes_images_at_224_pixels() -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    masks = segmented(Segmenter(new_fcn()).eval(), images, PAPER, CPU)
    assert masks.masks.shape == (1, 224, 224)
