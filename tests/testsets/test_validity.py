"""Construct validity of the synthetic data that needs no training: gates V3, V5 and V6 of the protocol.

V7 (the same bytes everywhere) is in `test_frozen.py`; V1, V2, V4 and V8 to V10 need networks and are a recorded study.
"""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from kdbench.data import synthetic
from kdbench.data.training_sets import saliences_of
from kdbench.testsets.spec import load_spec

TRACK = load_spec().track("synthetic")
SALIENCES = saliences_of(TRACK)
TABLES = synthetic.shipped_tables()
CHANCE = 0.1
Floats = NDArray[np.float64]


def lda_accuracy(features: Floats, labels: NDArray[np.int64], train: int) -> float:
    """Accuracy of linear discriminant analysis, fitted on the first `train` rows and tested on the rest."""
    classes = np.unique(labels)
    known, truth = features[:train], labels[:train]
    means = np.array([known[truth == label].mean(axis=0) for label in classes])
    within = known - means[np.searchsorted(classes, truth)]
    covariance = within.T @ within / train
    precision = np.linalg.pinv(covariance + 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    scores = features[train:] @ precision @ means.T - 0.5 * np.einsum("ci,ij,cj->c", means, precision, means)
    return float((classes[scores.argmax(axis=1)] == labels[train:]).mean())


@pytest.fixture(scope="module")
def dissociated() -> tuple[synthetic.Drawn, synthetic.Scenes]:
    """6,000 images whose shape and texture are independent, and the scenes they show."""
    count = 6000
    draws = synthetic.SceneDraws(TABLES, "validity", "dissociated", first=0, count=count)
    shapes, textures = draws.choose(0, 10), draws.choose(1, 10)
    scenes = draws.scenes(draws.shape_mask(shapes), draws.texture_fill(textures, "train"))
    return synthetic.Drawn(synthetic.render(TABLES, scenes, SALIENCES), shapes, shapes, textures), scenes


def coverage_of(scenes: synthetic.Scenes) -> Floats:
    """(n, 32, 32) exact object masks, 0 to 1."""
    masks = TABLES.all_masks[scenes.mask] / 255
    return np.array([ndimage.shift(mask, move, order=0) for mask, move in zip(masks, scenes.shift, strict=True)])


def test_lda_finds_a_difference_that_is_there() -> None:
    labels = np.arange(1000) % 10
    features = np.random.default_rng(0).normal(0, 1, (1000, 3)) + 6 * labels[:, None] * np.array([1, 0, 0])
    assert lda_accuracy(features, labels, 500) > 0.98
    assert abs(lda_accuracy(features[:, 1:], labels, 500) - CHANCE) < 0.05


def gross_features(drawn: synthetic.Drawn, scenes: synthetic.Scenes) -> dict[str, Floats]:
    """What could give a class away without shape or texture being seen: (n, 1) each."""
    grey, coverage = drawn.images.mean(axis=-1), coverage_of(scenes)
    area = coverage.sum(axis=(1, 2))
    axis = np.arange(synthetic.SIZE)
    down, right = coverage.sum(axis=2) @ axis / area, coverage.sum(axis=1) @ axis / area
    features = {
        "mean": grey.mean(axis=(1, 2)),
        "variance": grey.var(axis=(1, 2)),
        "area": area,
        "down": down,
        "right": right,
    }
    return {name: values[:, None] for name, values in features.items()}


@pytest.mark.parametrize("feature", ["mean", "variance", "area", "down", "right"])
def test_v3_no_gross_feature_of_the_image_tells_the_shape(
    feature: str, dissociated: tuple[synthetic.Drawn, synthetic.Scenes]
) -> None:
    drawn, scenes = dissociated
    assert lda_accuracy(gross_features(drawn, scenes)[feature], drawn.shapes, 4000) <= 0.15


@pytest.mark.parametrize("feature", ["mean", "variance", "area", "down", "right"])
def test_v3_no_gross_feature_of_the_image_tells_the_texture(
    feature: str, dissociated: tuple[synthetic.Drawn, synthetic.Scenes]
) -> None:
    drawn, scenes = dissociated
    assert lda_accuracy(gross_features(drawn, scenes)[feature], drawn.textures, 4000) <= 0.15


def test_v3_all_gross_features_together_do_not_tell_the_shape(
    dissociated: tuple[synthetic.Drawn, synthetic.Scenes],
) -> None:
    drawn, scenes = dissociated
    features = np.concatenate(list(gross_features(drawn, scenes).values()), axis=1)
    assert lda_accuracy(features, drawn.shapes, 4000) <= 0.15


def test_v3_all_gross_features_together_do_not_tell_the_texture(
    dissociated: tuple[synthetic.Drawn, synthetic.Scenes],
) -> None:
    drawn, scenes = dissociated
    features = np.concatenate(list(gross_features(drawn, scenes).values()), axis=1)
    assert lda_accuracy(features, drawn.textures, 4000) <= 0.15


def test_v3_the_mask_does_not_tell_the_texture(dissociated: tuple[synthetic.Drawn, synthetic.Scenes]) -> None:
    drawn, scenes = dissociated
    small = coverage_of(scenes).reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(len(scenes), 64)
    assert lda_accuracy(small, drawn.textures, 4000) == pytest.approx(CHANCE, abs=0.025)
    assert lda_accuracy(small, drawn.shapes, 4000) > 0.5  # the same features do tell the shape


def interior_crops(drawn: synthetic.Drawn, scenes: synthetic.Scenes, side: int = 5) -> tuple[Floats, NDArray[np.int64]]:
    """Windows that lie wholly inside the object, one an image that has one: pixels and rows."""
    windows: NDArray[np.bool_] = sliding_window_view(coverage_of(scenes) > 0.999, (side, side), axis=(1, 2))
    inside = np.logical_and.reduce(windows, axis=(-2, -1))
    rows = np.flatnonzero(inside.any(axis=(1, 2)))
    corners = [np.argwhere(inside[row]) for row in rows]
    middle = [members[len(members) // 2] for members in corners]
    crops = [drawn.images[row, r : r + side, c : c + side] for row, (r, c) in zip(rows, middle, strict=True)]
    return np.array(crops, float), rows


def texture_statistics(crops: Floats) -> Floats:
    """(n, 14) means, variances and neighbour products of grey crops: enough to tell textures from one another."""
    grey = crops.mean(axis=-1)
    centred = grey - grey.mean(axis=(1, 2), keepdims=True)
    lags = [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 2), (0, 3), (3, 0)]
    size = grey.shape[1]
    products = [(centred[:, d:, r:] * centred[:, : size - d, : size - r]).mean(axis=(1, 2)) for d, r in lags]
    moments = [(centred**power).mean(axis=(1, 2)) for power in (2, 3, 4)]
    return np.stack([*products, *moments, *crops.mean(axis=(1, 2)).T], axis=1)


def test_v3_the_interior_does_not_tell_the_shape(dissociated: tuple[synthetic.Drawn, synthetic.Scenes]) -> None:
    drawn, scenes = dissociated
    crops, rows = interior_crops(drawn, scenes)
    assert len(rows) > 5000
    features = texture_statistics(crops)
    assert lda_accuracy(features, drawn.shapes[rows], 3500) <= 0.15
    assert lda_accuracy(features, drawn.textures[rows], 3500) > 0.25  # the same features do tell the texture


def best_match(patch: Floats, crops: Floats) -> float:
    """Highest normalised correlation of a patch with any window of any crop."""
    windows = sliding_window_view(crops, patch.shape, axis=(1, 2)).reshape(-1, patch.size)
    centred = windows - windows.mean(axis=1, keepdims=True)
    wanted = (patch - patch.mean()).ravel()
    norm = np.linalg.norm(centred, axis=1) * np.linalg.norm(wanted)
    return float((centred @ wanted / np.maximum(norm, 1e-9)).max())


@pytest.mark.slow
@pytest.mark.parametrize("texture", range(10))
def test_v5_no_test_crop_shows_pixels_of_a_training_crop(texture: int) -> None:
    """Crops are standardised one by one, so shared pixels would correlate at 1 without being equal."""
    train, test = TABLES.train_textures[texture].astype(float), TABLES.test_textures[texture].astype(float)
    side = 32
    assert best_match(train[0, 30 : 30 + side, 30 : 30 + side], train) > 0.999  # the search finds what is there
    worst = max(
        best_match(crop[r : r + side, c : c + side], train) for crop in test[::2] for r, c in ((0, 2), (30, 26))
    )
    assert worst < 0.97


def test_v6_conflicts_are_balanced_over_the_ninety_pairs() -> None:
    count = next(test_set.images for test_set in TRACK.test_sets if test_set.name == "cue-conflict")
    drawn = synthetic.condition_images("cue-conflict", count=count, saliences=SALIENCES)
    pairs = np.zeros((10, 10), int)
    np.add.at(pairs, (drawn.shapes, drawn.textures), 1)
    assert (np.diag(pairs) == 0).all()
    assert (pairs[~np.eye(10, dtype=bool)] == count // 90).all()
