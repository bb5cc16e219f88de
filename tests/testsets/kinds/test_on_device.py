"""What is done to images at evaluation is what the slow, integer recipes would have done to stored ones."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kdbench.data.pixels import resized
from kdbench.errors import DataError
from kdbench.evaluation.answers import image_batches, logits_of
from kdbench.networks.backbone import Backbone, create_model
from kdbench.testsets.arrays import Manipulation, TestArrays
from kdbench.testsets.kinds.noise_patch import NoisePatch, noise_table, noisy
from kdbench.testsets.kinds.tiles import TileOrders, scrambled, tile_table
from kdbench.testsets.spec import load_spec

PAPER = load_spec().track("cifar10-224")
SIZE = PAPER.data.image_size
CPU = torch.device("cpu")
PINNED: dict[str, Any] = {test_set.name: dict(test_set.parameters) for test_set in PAPER.test_sets}


def images(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def done(pixels: NDArray[np.uint8], manipulation: Manipulation) -> NDArray[np.float32]:
    """(n, H, W, 3) the images after the manipulation."""
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    return manipulation.apply(planes, slice(0, len(pixels))).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("grid", [2, 7, 14])
@pytest.mark.parametrize("permutation", [0, 2])
def test_tiles_move_as_in_stored_arrays(grid: int, permutation: int) -> None:
    ids, pixels = np.array([0, 7, 4999]), images(3, 28)
    order = tile_table(ids, 28, grid=grid, permutation=permutation)
    np.testing.assert_array_equal(done(pixels, order), scrambled(pixels, ids, grid=grid, permutation=permutation))


def test_the_permutations_are_the_pinned_ones_and_leave_no_tile_in_its_place() -> None:
    ids = np.arange(10000)
    for name in ("scramble-2", "scramble-7", "scramble-14"):
        order = tile_table(ids, SIZE, **PINNED[name]).order
        places = np.arange(order.shape[1])
        assert not (order == places).any()
        np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(places, (len(ids), 1)))


def test_a_limited_build_has_the_rows_of_the_whole_table() -> None:
    whole = tile_table(np.arange(10000), SIZE, **PINNED["scramble-7"]).order
    np.testing.assert_array_equal(tile_table(np.array([3, 9999]), SIZE, **PINNED["scramble-7"]).order, whole[[3, 9999]])


@pytest.mark.parametrize(
    ("make", "name", "key"), [(tile_table, "scramble-7", "table_sha256"), (noise_table, "noise", "tile_sha256")]
)
def test_tables_that_are_not_the_pinned_ones_are_refused(make: Any, name: str, key: str) -> None:
    with pytest.raises(DataError, match=r"but the spec pins 0000000000000000\.\.\."):
        make(np.arange(3), SIZE, **PINNED[name] | {key: "0" * 64})


def test_noise_is_added_and_clipped_at_five_sites_on_the_lattice_of_patches() -> None:
    ids = np.arange(200)
    noise = noise_table(ids, SIZE, **PINNED["noise"])
    corners = {tuple(corner) for corner in noise.corners.tolist()}
    assert corners == {(80, 80), (32, 32), (32, 128), (128, 32), (128, 128)}  # multiples of a patch's 16 pixels
    pixels = images(4, SIZE)
    result = done(pixels, NoisePatch(noise.tile, noise.corners[:4]))
    for row, (top, left) in enumerate(noise.corners[:4].tolist()):
        window = (row, slice(top, top + 64), slice(left, left + 64))
        expected = pixels.astype(np.int32)[row]
        np.testing.assert_array_equal(result[window], np.clip(pixels[window].astype(np.int32) + noise.tile, 0, 255))
        expected[top : top + 64, left : left + 64] = result[window]
        np.testing.assert_array_equal(result[row], expected)


def test_the_site_of_an_image_is_the_same_at_either_size() -> None:
    ids, tile = np.arange(50), np.full((8, 8, 3), 200, np.int16)
    small = noisy(np.zeros((50, 32, 32, 3), np.uint8), ids, tile, size=8)
    large = noise_table(ids, SIZE, size=64)
    for row in range(50):
        top, left = np.argwhere(small[row, :, :, 0] > 0).min(axis=0)
        middle = np.sign(np.array([top, left]) - 12)
        np.testing.assert_array_equal(middle, np.sign(large.corners[row] - 80))


def test_the_tile_has_half_the_range_as_standard_deviation() -> None:
    tile = noise_table(np.arange(1), SIZE, size=96).tile
    assert abs(tile.std() / 127.5 - 1) < 0.02
    assert abs(tile.mean()) < 2


@pytest.mark.parametrize(("size", "offset"), [(97, 0), (96, 60)])
def test_noise_that_does_not_fit_is_refused(size: int, offset: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        noise_table(np.arange(3), SIZE, size=size, offset=offset)


def cubic(distance: float) -> float:
    """Keys' convolution kernel with a = -3/4, which torch's bicubic interpolation uses without antialiasing."""
    a, d = -0.75, abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def test_resizing_is_bicubic_with_repeated_edges_and_clipped() -> None:
    stored = images(1, 32)[0]
    seen = resized(torch.from_numpy(stored).permute(2, 0, 1)[None].float(), PAPER.data)[0].permute(1, 2, 0).numpy()
    assert seen.shape == (224, 224, 3)
    for row, column in ((0, 0), (3, 100), (112, 57), (223, 223)):
        y, x = (row + 0.5) / 7 - 0.5, (column + 0.5) / 7 - 0.5
        value = np.zeros(3)
        for i in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
            for j in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
                pixel = stored[min(max(i, 0), 31), min(max(j, 0), 31)].astype(float)
                value += cubic(y - i) * cubic(x - j) * pixel
        np.testing.assert_allclose(seen[row, column], np.clip(value, 0, 255), atol=1e-3)


def test_images_of_neither_size_are_refused() -> None:
    with pytest.raises(ValueError, match="64 pixels wide; this track allows 32 or 224"):
        resized(torch.zeros(1, 3, 64, 64), PAPER.data)


@pytest.fixture(scope="module")
def network() -> Backbone:
    torch.manual_seed(0)
    model = create_model("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, num_classes=10)
    return Backbone(model, "cnn").eval()


def test_stored_images_are_seen_resized_manipulated_and_then_normalised(network: Backbone) -> None:
    stored, order = images(3, 32), tile_table(np.arange(3), SIZE, **PINNED["scramble-7"])
    seen = torch.cat(list(image_batches(stored, PAPER.data, network, CPU, order)))
    planes = resized(torch.from_numpy(stored).permute(0, 3, 1, 2).float(), PAPER.data)
    moved = order.apply(planes, slice(0, 3)) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PAPER.data.mean, PAPER.data.std))
    torch.testing.assert_close(seen, (moved - mean) / std, atol=1e-4, rtol=1e-4)


def test_stored_and_resized_images_give_the_same_answers(network: Backbone) -> None:
    stored = images(2, 32)
    planes = resized(torch.from_numpy(stored).permute(0, 3, 1, 2).float(), PAPER.data)
    whole = planes.round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    np.testing.assert_allclose(
        logits_of(network, stored, PAPER.data, CPU), logits_of(network, whole, PAPER.data, CPU), atol=0.02
    )


def test_a_manipulation_is_part_of_a_sets_digest() -> None:
    labels, index = np.zeros(3, np.int16), np.arange(3, dtype=np.int32)
    plain = TestArrays(images(3, 32), labels, labels, index)
    orders = [
        TileOrders(2, np.array([[1, 0, 3, 2]] * 3, np.uint8)),
        TileOrders(2, np.array([[1, 0, 3, 2], [1, 0, 3, 2], [3, 2, 1, 0]], np.uint8)),
    ]
    digests = {TestArrays(plain.images, labels, labels, index, order).sha256 for order in (None, *orders)}
    assert len(digests) == 3
