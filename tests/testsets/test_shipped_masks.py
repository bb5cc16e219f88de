"""The shipped masks reach the images that they were found in, whatever the order of a copy, and no other image."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.data.cifar10 import CLASSES, read_cifar10
from kdbench.errors import DataError
from kdbench.resources import shipped
from kdbench.testsets.shipped_masks import SHIPPED_MASKS, masks_of, matched_rows, thumbnails
from kdbench.testsets.spec import load_spec
from tests.testsets.pictures import noise_images

REAL = Path(__file__).parents[2].parent / "shared" / "cifar10"
PINNED = load_spec().track("cifar10-32").data.masks_sha256 or ""
LABELS = np.repeat(np.arange(4), 10)


def smooth_images(seed: int = 0) -> np.ndarray:
    """(40, 32, 32, 3) images whose thumbnails differ, as those of photographs do."""
    small = np.random.default_rng(seed).integers(40, 216, (40, 4, 4, 3), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def test_a_thumbnail_has_the_mean_luminance_of_each_square() -> None:
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, :8, 8:16] = (255, 0, 0)
    image[0, 24:, 24:] = 200
    image[0, 24:, 24:28] = 100
    expected = np.zeros(16)
    expected[[1, 15]] = 0.299 * 255, 150
    np.testing.assert_array_equal(thumbnails(image)[0], np.round(expected))


def test_another_order_and_small_errors_change_no_match() -> None:
    images = smooth_images()
    order = np.random.default_rng(1).permutation(40)
    errors = np.random.default_rng(2).integers(-9, 10, images.shape)
    copy = np.clip(images[order] + errors, 0, 255).astype(np.uint8)
    rows = matched_rows(thumbnails(copy), LABELS[order], thumbnails(images), LABELS)
    np.testing.assert_array_equal(rows, order)


def test_images_that_look_alike_get_different_masks() -> None:
    images = smooth_images()
    images[1] = images[0]
    rows = matched_rows(thumbnails(images), LABELS, thumbnails(images), LABELS)
    assert sorted(rows) == list(range(40))


def test_other_images_and_other_labels_match_nothing() -> None:
    stored = thumbnails(smooth_images())
    with pytest.raises(
        DataError, match=r"^40 of 40 test images match no shipped object mask of their class.*--data-root"
    ):
        matched_rows(thumbnails(smooth_images(1)), LABELS, stored, LABELS)
    shifted = np.roll(LABELS, 1)
    with pytest.raises(DataError, match="match no shipped object mask"):
        matched_rows(stored, shifted, stored, LABELS)


def test_more_images_than_masks_are_refused() -> None:
    stored = thumbnails(smooth_images())
    with pytest.raises(DataError, match=r"^1 of 11 test images match no shipped"):
        matched_rows(stored[[*range(10), 0]], np.zeros(11, int), stored, LABELS)


def test_images_that_are_not_those_of_cifar10_are_refused() -> None:
    with pytest.raises(DataError, match="4 of 4 test images match no shipped object mask"):
        masks_of(noise_images(4), np.arange(4), PINNED)


def test_a_file_of_masks_that_is_not_the_pinned_one_is_refused() -> None:
    with pytest.raises(DataError, match=r"masks\.npz is \w{16}\.\.\., but the spec pins 0{16}.*; restore the shipped"):
        masks_of(noise_images(1), np.arange(1), "0" * 64)


def test_at_least_half_of_every_class_is_covered() -> None:
    with np.load(shipped(*SHIPPED_MASKS)) as stored:
        covered, label = stored["covered"], stored["label"]
        area = np.unpackbits(stored["masks"], axis=1).mean(axis=1)
    assert np.bincount(label).tolist() == [1000] * len(CLASSES)
    assert all(covered[label == number].mean() > 0.5 for number in range(len(CLASSES)))
    assert area[covered].min() >= 0.04
    assert area[covered].max() <= 0.8


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no copy of CIFAR-10 beside the project")
def test_the_thumbnails_of_the_jpeg_copy_are_the_stored_ones() -> None:
    source = read_cifar10(REAL, REAL)
    seen, labels = thumbnails(source.test_images), source.test_labels
    with np.load(shipped(*SHIPPED_MASKS)) as stored:
        rows = matched_rows(seen, labels, stored["thumbnail"], stored["label"])
        np.testing.assert_array_equal(seen, stored["thumbnail"][rows])
        np.testing.assert_array_equal(masks_of(source.test_images, labels, PINNED).covered, stored["covered"][rows])
