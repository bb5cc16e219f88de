"""Images with known content, and a small CIFAR-10 made of them."""

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Integers
from kdbench.data.cifar10 import Cifar10
from kdbench.testsets.plans import ObjectMasks

Images = NDArray[np.uint8]


def noise_images(count: int, seed: int = 0) -> Images:
    """(count, 32, 32, 3) independent random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def disk(radius: float = 9, centre: tuple[float, float] = (15.5, 15.5)) -> NDArray[np.bool_]:
    """(32, 32) a filled circle."""
    rows, columns = np.ogrid[:32, :32]
    return np.asarray(np.hypot(rows - centre[0], columns - centre[1]) <= radius)


def disk_images(count: int, seed: int = 0) -> Images:
    """(count, 32, 32, 3) a reddish disk on a bluish ground, both a little noisy."""
    rng = np.random.default_rng(seed)
    images = np.where(disk()[None, :, :, None], np.array([190, 60, 50]), np.array([60, 80, 170]))
    return np.clip(images + rng.normal(0, 6, (count, 32, 32, 3)), 0, 255).astype(np.uint8)


def small_cifar10(per_class: int = 3, seed: int = 0) -> Cifar10:
    """Ten classes of disks, shuffled: no real images, but objects that every recipe can work on."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), per_class))
    images = disk_images(len(labels), seed)
    images[..., 1] += (8 * labels)[:, None, None].astype(np.uint8)
    return Cifar10(images, labels, images, labels, source="other", layout="parquet")


def disk_masks(images: Images, labels: Integers, sha256: str) -> ObjectMasks:
    """The masks of disks, in place of the shipped ones; a few count as not covered, whatever other images there are."""
    return ObjectMasks(np.repeat(disk()[None], len(images), axis=0), images[:, 0, 0, 0] % 5 > 0)
