"""The shipped tables of the synthetic images: what keeps blobs and neutral fills from looking like a class."""

import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from kdbench.data.synthetic import shipped_tables
from kdbench.networks.weights import file_sha256
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


def test_neutral_fills_have_random_phases_and_together_the_mean_spectrum() -> None:
    fills, crops = TABLES.neutral.astype(float), TABLES.train_textures.reshape(-1, 64, 64).astype(float)
    spectra = [np.abs(np.fft.fft2(each)).mean(axis=0)[1:32, 1:32] for each in (fills, crops)]
    assert np.corrcoef(*(np.log(spectrum).ravel() for spectrum in spectra))[0, 1] > 0.95
    flat = (fills - fills.mean(axis=(1, 2), keepdims=True)).reshape(len(fills), -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    assert np.abs(flat @ flat.T - np.eye(len(fills))).max() < 0.3


def test_a_surrogate_keeps_the_spectrum_of_its_texture() -> None:
    crop = TABLES.train_textures[5, 0].astype(float)
    amplitude = np.abs(np.fft.fft2(crop))
    noise = script("fills").surrogate(amplitude, crop, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(np.fft.fft2(noise)), amplitude, rtol=1e-6, atol=1e-6)
    assert abs(np.corrcoef(noise.ravel(), crop.ravel())[0, 1]) < 0.3
