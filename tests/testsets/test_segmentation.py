"""Masks find an object that can be found, and say so when there is none."""

import numpy as np

from kdbench.testsets.segmentation import border_distance, colour_masks, object_masks, overlap, walker_mask
from tests.testsets.pictures import disk, disk_images, noise_images


def test_a_disk_on_a_plain_ground_is_found_by_both_ways() -> None:
    images = disk_images(5)
    for image, mask in zip(images, colour_masks(images), strict=True):
        assert overlap(mask, disk()) > 0.9
        assert overlap(walker_mask(image), disk()) > 0.9


def test_a_found_disk_is_covered() -> None:
    masks, covered = object_masks(disk_images(3))
    assert covered.all()
    assert masks.dtype == bool


def test_a_blank_image_has_no_object() -> None:
    masks, covered = object_masks(np.full((2, 32, 32, 3), 90, np.uint8))
    assert not masks.any()
    assert not covered.any()


def test_two_ways_that_disagree_cover_nothing() -> None:
    """An object off the centre: its colour is found, but the walker starts on the ground."""
    image = np.full((1, 32, 32, 3), (60, 80, 170), np.uint8)
    image[:, disk(5, (8, 8))] = (190, 60, 50)
    masks, covered = object_masks(image)
    assert masks[0, 8, 8]
    assert not covered.any()


def test_an_object_too_small_is_not_accepted() -> None:
    image = disk_images(1)
    image[:, disk()] = image[:, :1, :1].reshape(1, 1, 3)
    image[:, disk(2)] = (230, 40, 30)
    masks, covered = object_masks(image)
    assert not masks.any()
    assert not covered.any()


def test_a_mask_is_one_component_without_holes() -> None:
    image = disk_images(1)
    image[:, disk(3)] = (60, 80, 170)  # a hole in the colour of the ground
    image[:, 4:7, 4:7] = (200, 50, 40)  # a second, smaller object
    mask = colour_masks(image)[0]
    assert mask[16, 16]
    assert not mask[5, 5]


def test_distance_is_that_of_mahalanobis() -> None:
    image = noise_images(1)
    frame = np.ones((32, 32), bool)
    frame[2:-2, 2:-2] = False
    border = image[0][frame].astype(float)
    spread = np.cov(border.T, bias=True) + 64 * np.eye(3)
    offset = image[0, 10, 20] - border.mean(axis=0)
    assert np.isclose(border_distance(image)[0, 10, 20], np.sqrt(offset @ np.linalg.solve(spread, offset)))


def test_masks_do_not_depend_on_who_else_is_segmented() -> None:
    images = np.concatenate([disk_images(3), noise_images(3)])
    together = object_masks(images)
    for row in range(6):
        alone = object_masks(images[row : row + 1])
        np.testing.assert_array_equal(alone[0][0], together[0][row])
        assert alone[1][0] == together[1][row]


def test_overlap_of_known_masks() -> None:
    left, right = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    left[:, :3], right[:, 1:] = True, True
    assert overlap(left, right) == 0.5
    assert overlap(left & False, right & False) == 0.0
