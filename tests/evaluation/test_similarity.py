"""How similar a student and its teacher are, against answers known beforehand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdbench.evaluation.answers import logits_of
from kdbench.evaluation.features import KeptFeatures, PooledFeatures
from kdbench.evaluation.occlusion import first_occlusion_maps, map_similarity
from kdbench.evaluation.similarity import debiased_cka, feature_similarity
from kdbench.spec import FAMILIES
from kdbench.testsets.arrays import TestArrays
from tests.evaluation.small_networks import CPU, TRACK, Looker, clean_arrays, network, normal


def features_of(backbone: object, clean: TestArrays) -> PooledFeatures:
    return KeptFeatures().of(backbone, clean, TRACK.data, CPU)  # type: ignore[arg-type]


@given(st.integers(0, 10**6))
def test_cka_of_features_with_themselves_turned_scaled_and_moved_is_one(seed: int) -> None:
    x = normal(50, 8, seed=seed)
    turn, _ = np.linalg.qr(normal(8, 8, seed=seed + 1))
    assert debiased_cka(x, x) == pytest.approx(1)
    assert debiased_cka(x, 3 * x @ turn + 7) == pytest.approx(1)


def test_cka_of_independent_features_is_near_zero_where_the_biased_one_is_not() -> None:
    x, y = normal(400, 300, seed=1), normal(400, 500, seed=2)
    biased = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert biased > 0.4  # sqrt(pq / ((n + p)(n + q))) = .49
    assert abs(debiased_cka(x, y)) < 0.01


def test_cka_is_unbiased_in_the_number_of_images() -> None:
    """Half of each side's features are shared, so that CKA is the same for few images and for many."""
    shared, own, other = (normal(4000, 20, seed=seed) for seed in (1, 2, 3))
    x, y = np.hstack([shared, own]), np.hstack([shared, other])
    few = [debiased_cka(x[rows], y[rows]) for rows in np.split(np.arange(4000), 100)]
    assert debiased_cka(x, y) == pytest.approx(0.5, abs=0.02)
    assert np.mean(few) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("features", [np.ones((10, 3)), np.ones((3, 2))], ids=["constant", "three images"])
def test_cka_of_features_that_do_not_vary_is_undefined(features: np.ndarray) -> None:
    assert np.isnan(debiased_cka(features, normal(len(features), 4)))


def test_pooled_features_are_what_the_classifier_reads() -> None:
    for family in FAMILIES:
        backbone, images = network(family), clean_arrays().images
        head = backbone.model.fc if family == "cnn" else backbone.model.head
        features = torch.from_numpy(features_of(backbone, clean_arrays())).float()
        logits = torch.from_numpy(logits_of(backbone, images, TRACK.data, CPU))
        torch.testing.assert_close(head(features).detach(), logits, atol=1e-4, rtol=0)  # type: ignore[operator]


def test_a_network_is_like_itself_in_every_respect() -> None:
    backbone, clean = network("cnn"), clean_arrays(10)
    maps = first_occlusion_maps(backbone, clean, TRACK.data, CPU)
    features = features_of(backbone, clean)
    numbers = feature_similarity(features, features) | map_similarity(maps, maps)
    assert numbers == pytest.approx(
        {
            "cka": 1,
            "occlusion_correlation": 1,
            "occlusion_correlation_off_centre": 1,
            "occlusion_overlap": 1,
            "occlusion_undefined": 0,
        }
    )


def test_numbers_that_cannot_be_computed_are_left_out() -> None:
    clean = clean_arrays(10)
    grey = TestArrays(np.full_like(clean.images, 128), clean.targets, clean.textures, clean.index)
    features = features_of(Looker(), grey)
    assert feature_similarity(features, features) == {}
    assert map_similarity(np.zeros((2, 64)), normal(2, 64)) == {"occlusion_undefined": 1}
