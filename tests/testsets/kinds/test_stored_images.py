"""What each manipulation keeps and what it takes away."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdbench.data.synthetic import shipped_tables
from kdbench.testsets.draws import image_words
from kdbench.testsets.kinds.noise_patch import noisy
from kdbench.testsets.kinds.silhouette import silhouettes
from kdbench.testsets.kinds.superpixels import Slic, filled
from kdbench.testsets.kinds.tiles import scrambled
from tests.testsets.pictures import disk, disk_images, noise_images

Images = NDArray[np.uint8]
TILE = shipped_tables().patch
RANDOM: dict[str, Callable[[Images, NDArray[np.int64]], Images]] = {
    "scramble": lambda images, ids: scrambled(images, ids, grid=4),
    "noise": lambda images, ids: noisy(images, ids, TILE, size=8),
}


@pytest.mark.parametrize("name", RANDOM)
def test_an_image_gets_the_same_whoever_is_beside_it(name: str) -> None:
    images, ids = noise_images(40), np.arange(100, 140)
    order = np.random.default_rng(1).permutation(40)[:17]
    np.testing.assert_array_equal(RANDOM[name](images, ids)[order], RANDOM[name](images[order], ids[order]))


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_the_words_of_an_image_depend_on_its_id_alone(ids: list[int]) -> None:
    together = image_words(np.array(ids), "claim", per_item=6)
    alone = np.concatenate([image_words(np.array([number]), "claim", per_item=6) for number in ids])
    np.testing.assert_array_equal(together, alone)


def tiles(image: Images, grid: int) -> list[bytes]:
    side = 32 // grid
    return [image[r : r + side, c : c + side].tobytes() for r in range(0, 32, side) for c in range(0, 32, side)]


@pytest.mark.parametrize("grid", [2, 4, 8])
def test_scramble_moves_every_tile_and_loses_none(grid: int) -> None:
    images = noise_images(30)
    for before, after in zip(images, scrambled(images, np.arange(30), grid=grid), strict=True):
        old, new = tiles(before, grid), tiles(after, grid)
        assert sorted(old) == sorted(new)
        assert not any(a == b for a, b in zip(old, new, strict=True))


def test_scramble_has_a_permutation_for_every_image() -> None:
    repeated = np.repeat(noise_images(1), 50, axis=0)
    assert len({image.tobytes() for image in scrambled(repeated, np.arange(50), grid=4)}) == 50


def test_scramble_refuses_a_grid_that_does_not_divide_the_image() -> None:
    with pytest.raises(ValueError, match="cannot be cut into a grid of 7x7"):
        scrambled(noise_images(1), np.arange(1), grid=7)


def test_noise_adds_the_tile_at_one_of_five_sites_and_touches_nothing_else() -> None:
    sites = {(12, 12), (4, 4), (4, 20), (20, 4), (20, 20)}
    images = np.full((200, 32, 32, 3), 128, np.uint8)
    expected = np.clip(128 + TILE[2:10, 2:10], 0, 255)
    kinds = []
    for image in noisy(images, np.arange(200), TILE, size=8):
        rows, columns = np.nonzero((image != 128).any(axis=-1))
        top, left = next(
            site for site in sites if site[0] <= rows.min() < site[0] + 4 and site[1] <= columns.min() < site[1] + 4
        )
        np.testing.assert_array_equal(image[top : top + 8, left : left + 8], expected)
        image[top : top + 8, left : left + 8] = 128
        assert (image == 128).all()
        kinds.append((top, left))
    assert set(kinds) == sites
    assert max(kinds.count(site) for site in sites) < 70  # 40 expected of each


def test_noise_keeps_its_centres_at_other_sizes() -> None:
    images = np.full((50, 32, 32, 3), 128, np.uint8)
    small, large = (noisy(images, np.arange(50), TILE, size=size) for size in (4, 12))
    np.testing.assert_array_equal(small[small != 128], large[small != 128])


def test_noise_refuses_a_tile_larger_than_the_shipped_one() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        noisy(noise_images(1), np.arange(1), TILE, size=16)


def test_the_noise_tile_has_half_the_range_as_standard_deviation() -> None:
    assert TILE.std() / 255 == pytest.approx(0.5, abs=0.05)


def test_segments_get_their_mean_rounded_half_up() -> None:
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, 0] = [[10, 0, 255], [11, 0, 255]]
    image[0, 1] = [[7, 100, 1], [200, 50, 2]]
    labels = np.array([[[0, 0], [1, 2]]], np.uint8)
    expected = [[[11, 0, 255], [11, 0, 255]], [[7, 100, 1], [200, 50, 2]]]  # 10.5 becomes 11
    np.testing.assert_array_equal(filled(image, labels)[0], expected)


def test_filling_is_idempotent_and_keeps_the_mean() -> None:
    images = disk_images(6)
    labels = Slic(64).maps(images)
    once = filled(images, labels)
    np.testing.assert_array_equal(filled(once, labels), once)
    assert abs(once.mean(axis=(1, 2)) - images.mean(axis=(1, 2))).max() < 0.5


def test_superpixels_lose_fine_texture_and_keep_the_outline() -> None:
    images = disk_images(8)
    flat = filled(images, Slic(64).maps(images))
    before, after = (np.abs(np.diff(stored[:, 10:22, 10:22].astype(int), axis=2)).mean() for stored in (images, flat))
    assert after < 0.5 * before
    assert (flat[:, 16, 16, 0].astype(int) - flat[:, 0, 0, 0] > 80).all()


def test_about_one_segment_a_patch_token() -> None:
    counts = Slic(64).maps(disk_images(5)).max(axis=(1, 2)) + 1
    assert ((counts >= 40) & (counts <= 90)).all()


def test_smoothing_keeps_noise_from_melting_the_segments() -> None:
    plain, smooth = (Slic(64, sigma=sigma).maps(noise_images(3)).max(axis=(1, 2)) + 1 for sigma in (0, 1))
    assert (plain < 10).all()
    assert (smooth > 40).all()


def test_silhouettes_show_the_mask_and_nothing_else() -> None:
    masks = np.stack([disk(), disk(5)])
    white = silhouettes(masks, foreground=255, background=0)
    black = silhouettes(masks, foreground=0, background=255)
    np.testing.assert_array_equal(white[..., 1] == 255, masks)
    np.testing.assert_array_equal(255 - white, black)
