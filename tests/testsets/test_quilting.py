"""Quilting uses the source's pixels, joins blocks along the cheapest path, and follows a guide."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.testsets.draws import image_words
from kdbench.testsets.kinds.cue_conflict import matched_luminance
from kdbench.testsets.kinds.quilted_texture import texture_fields
from kdbench.testsets.quilting import Quilting, corners_inside, luminance, quilted, right_of_cut, source_regions
from tests.testsets.pictures import disk, disk_images, noise_images

QUILTING = Quilting()
FULL = np.ones((1, 32, 32), bool)


def words_for(count: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]":
    return image_words(np.arange(count), "claim", per_item=QUILTING.words_per_image(32))


def test_blocks_cover_the_image() -> None:
    assert QUILTING.blocks_per_side(32) == 6  # 6 blocks of 8 with overlaps of 3 are 33 pixels
    assert Quilting(block=8, overlap=0).blocks_per_side(32) == 4


def test_every_pixel_comes_from_the_region() -> None:
    image = noise_images(1)
    image[:, ~disk(12)] = 0  # random pixels inside are almost never black
    regions = disk(12)[None]
    grown = quilted(image, regions, words_for(1), QUILTING)
    inside = {tuple(pixel) for pixel in image[0][regions[0]]}
    assert {tuple(pixel) for pixel in grown[0].reshape(-1, 3)} <= inside


def test_a_flat_source_gives_a_flat_texture() -> None:
    image = np.full((1, 32, 32, 3), (12, 200, 77), np.uint8)
    np.testing.assert_array_equal(quilted(image, FULL, words_for(1), QUILTING), image)


def test_stripes_go_on_across_the_joints() -> None:
    stripes = np.zeros((1, 32, 32, 3), np.uint8)
    stripes[:, :, np.arange(32) % 4 < 2] = 255
    grown = quilted(stripes, FULL, words_for(1), QUILTING)[0, :, :, 0]
    assert (grown == grown[:1]).mean() > 0.99  # every row is the same: no joint breaks a stripe
    assert (np.abs(np.diff(grown[0].astype(int))) > 0).sum() in (15, 16)


def test_an_image_does_not_depend_on_who_else_is_quilted() -> None:
    images, masks, ids = disk_images(6), np.repeat(disk(11)[None], 6, axis=0), np.arange(6)
    together = texture_fields(images, masks, ids, quilting=QUILTING)
    np.testing.assert_array_equal(together[4:], texture_fields(images[4:], masks[4:], ids[4:], quilting=QUILTING))


def test_the_texture_of_a_large_object_has_no_pixel_of_the_ground() -> None:
    images = disk_images(2)
    grown = texture_fields(images, np.repeat(disk(9)[None], 2, axis=0), np.arange(2), quilting=QUILTING)
    assert (grown[..., 0].astype(int) > grown[..., 2]).all()  # red object, blue ground


def test_an_object_without_room_for_a_block_gives_way_to_the_central_square() -> None:
    masks = np.stack([disk(9), disk(3), np.zeros((32, 32), bool)])
    regions, from_object = source_regions(masks, QUILTING)
    assert from_object.tolist() == [True, False, False]
    assert not (regions[0] & ~disk(8.5)).any()  # the outermost pixel is gone
    square = np.zeros((32, 32), bool)
    square[6:26, 6:26] = True
    np.testing.assert_array_equal(regions[1], square)


def test_corners_inside_are_those_of_whole_blocks() -> None:
    region = np.zeros((1, 32, 32), bool)
    region[0, 3:12, 5:15] = True  # 9 x 10 pixels hold 2 x 3 blocks of 8
    assert np.argwhere(corners_inside(region, 8)[0]).tolist() == [[r, c] for r in (3, 4) for c in (5, 6, 7)]


@given(st.lists(st.integers(0, 50), min_size=12, max_size=12))
def test_the_cut_is_the_cheapest_of_all_paths(costs: list[int]) -> None:
    error = np.array(costs, np.int32).reshape(1, 4, 3)
    paths = [p for p in product(range(3), repeat=4) if all(abs(a - b) <= 1 for a, b in pairwise(p))]
    cheapest = min(sum(error[0, row, column] for row, column in enumerate(path)) for path in paths)
    mask = right_of_cut(error)[0]
    cut = mask.argmax(axis=1)
    assert tuple(cut) in paths
    assert all((np.flatnonzero(row) == np.arange(start, 3)).all() for row, start in zip(mask, cut, strict=True))
    assert sum(error[0, row, column] for row, column in enumerate(cut)) == cheapest


def test_a_guide_is_followed() -> None:
    guide = np.zeros((1, 32, 32), np.int32)
    guide[:, :, 16:] = 255
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, :16] = 255  # bright above, dark below
    grown = luminance(quilted(image, FULL, words_for(1), QUILTING, guide=guide))[0]
    assert grown[:, 18:].mean() - grown[:, :14].mean() > 150


@pytest.mark.parametrize(
    ("colour", "grey"), [((255, 255, 255), 255), ((0, 0, 0), 0), ((255, 0, 0), 76), ((0, 255, 0), 149)]
)
def test_luminance_has_the_weights_of_rec_601(colour: tuple[int, int, int], grey: int) -> None:
    assert luminance(np.array(colour, np.uint8)) == grey


def test_matching_gives_the_contents_layout_in_the_sources_levels() -> None:
    content, source = noise_images(1, seed=1), noise_images(1, seed=2) // 4 + 100
    matched = matched_luminance(content, source, FULL)[0]
    np.testing.assert_array_equal(np.sort(matched, axis=None), np.sort(luminance(source), axis=None))
    before, after = luminance(content)[0].ravel(), matched.ravel()
    order = np.argsort(before, kind="stable")
    assert (np.diff(after[order]) >= 0).all()
