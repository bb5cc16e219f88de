"""The shipped tables of the synthetic images: what keeps blobs and neutral fills from looking like a class."""

import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from kdbench.data.synthetic import shipped_tables
from kdbench.files import file_sha256
from kdbench.resources import shipped
from kdbench.testsets.spec import load_spec

FOLDER = shipped("datasets", "synthetic")
TABLES = shipped_tables()


def script(name: str) -> ModuleType:
    """Return a script of `datasets/synthetic` as a module."""
    sys.path.insert(0, str(FOLDER))
    try:
        return import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


def test_the_spec_pins_the_shipped_tables() -> None:
    assert load_spec().track("synthetic").data.tables_sha256 == file_sha256(FOLDER / "tables.npz")


def test_no_blob_overlaps_a_class_much_and_every_class_is_nearest_equally_often() -> None:
    blobs = script("blobs")
    turned = blobs.turned_masks(TABLES.masks)
    overlaps = np.array([blobs.best_overlaps(blob / 255, turned) for blob in TABLES.blobs])
    assert overlaps.max() <= blobs.MOST_OVERLAP + 0.005  # blobs are rounded to 255 levels
    nearest = np.bincount(overlaps.argmax(axis=1), minlength=len(TABLES.masks))
    assert np.abs(nearest - blobs.PER_CLASS).max() <= 1


def test_a_shape_overlaps_its_own_class_most_at_any_turn_and_shift() -> None:
    blobs = script("blobs")
    turned = blobs.turned_masks(TABLES.masks)
    for shape in range(len(TABLES.masks)):
        moved = np.roll(TABLES.masks[shape, 3] / 255, (2, -1), axis=(0, 1))
        overlaps = blobs.best_overlaps(moved, turned)
        assert overlaps.argmax() == shape
        assert overlaps[shape] > 0.85


def test_a_blob_has_the_area_of_the_shapes_and_stays_inside_the_frame() -> None:
    areas = [masks.reshape(-1, 32 * 32).mean(axis=1) / 255 for masks in (TABLES.masks, TABLES.blobs)]
    assert areas[1].mean() == pytest.approx(areas[0].mean(), rel=0.08)
    border = np.ones((32, 32), bool)
    border[2:-2, 2:-2] = False
    assert not TABLES.blobs[:, border].any()


def test_no_fill_is_near_a_texture_and_every_texture_is_nearest_about_equally_often() -> None:
    """The oracle looks at other windows than when the fills were chosen, so some distances differ."""
    fills = script("fills")
    oracle = script("texture_oracle").TextureOracle(list(TABLES.train_textures), np.random.default_rng(7))
    distances = np.array([oracle.distances(fill / fills.CONTRAST) for fill in TABLES.neutral])
    assert len(distances) == fills.PER_TEXTURE * len(TABLES.train_textures)
    assert np.mean(distances.min(axis=1) >= fills.LEAST_DISTANCE) > 0.8
    nearest = np.bincount(distances.argmin(axis=1), minlength=len(TABLES.train_textures))
    assert np.abs(nearest - fills.PER_TEXTURE).max() <= fills.PER_TEXTURE // 2


def test_the_oracle_finds_the_texture_of_held_out_crops_near_and_right() -> None:
    oracle = script("texture_oracle").TextureOracle(list(TABLES.train_textures), np.random.default_rng(7))
    distances = np.array([[oracle.distances(crop) for crop in crops] for crops in TABLES.test_textures])
    right = distances.argmin(axis=2) == np.arange(len(distances))[:, None]
    assert right.mean() > 0.95
    assert np.mean(distances.min(axis=2) < script("fills").LEAST_DISTANCE) > 0.7


def test_no_texture_has_most_of_the_weight_in_a_fill() -> None:
    """Each fill is a sum of crops: of each, the best correlation is far below 1."""
    crops = TABLES.test_textures.reshape(-1, 64 * 64).astype(float)
    fills = TABLES.neutral.reshape(-1, 64 * 64).astype(float)
    crops, fills = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (crops, fills))
    best = np.sort(fills @ crops.T, axis=1)[:, ::-1]
    assert best[:, 0].max() < 0.92
    assert best[:, 1].min() > 0.3
