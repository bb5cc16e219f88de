"""What is recorded of a student beside its teacher, against answers known beforehand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn

from kdbench.api import Output
from kdbench.evaluation import occlusion
from kdbench.evaluation.answers import logits_of
from kdbench.evaluation.kept import read_maps, write_maps
from kdbench.evaluation.occlusion import (
    closeness_to_centre,
    first_occlusion_maps,
    map_correlations,
    map_similarity,
    mass_on_objects,
    occlusion_maps,
    top_overlaps,
)
from kdbench.evaluation.similarity import debiased_cka, feature_similarity, pooled_features
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone
from kdbench.records import OCCLUSION
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.spec import load_spec

TRACK = load_spec().track("synthetic")
CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def clean_arrays(count: int = 40) -> TestArrays:
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    targets = np.arange(count, dtype=np.int16) % 10
    return TestArrays(images, targets, targets, np.arange(count, dtype=np.int32))


def network(family: str, seed: int = 0) -> Backbone:
    return new_backbone(TRACK, family, seed=seed).eval()  # type: ignore[arg-type]


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


@pytest.mark.parametrize("features", [np.ones((10, 3)), np.ones((3, 2))])
def test_cka_of_features_that_do_not_vary_is_undefined(features: np.ndarray) -> None:
    assert np.isnan(debiased_cka(features, normal(len(features), 4)))


def test_map_correlation_is_spearmans() -> None:
    first, second = normal(5, 64, seed=1), np.round(normal(5, 64, seed=2))  # the second has ties
    expected = [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(map_correlations(first, second)[0], expected)


def test_maps_that_share_the_centre_alone_agree_until_it_is_partialled_out() -> None:
    centre = 3 * closeness_to_centre(8) / 98
    first, second = (centre + 0.3 * normal(200, 64, seed=seed) for seed in (1, 2))
    plain, partial = map_correlations(first, second)
    assert plain.mean() > 0.5
    assert abs(partial.mean()) < 0.03


def test_the_centre_is_the_same_from_all_sides() -> None:
    centre = closeness_to_centre(8).reshape(8, 8)
    np.testing.assert_array_equal(centre, centre.T)
    np.testing.assert_array_equal(centre, centre[::-1])
    assert {(3, 3), (4, 4)} <= set(zip(*np.nonzero(centre == centre.max()), strict=True))


def test_a_constant_map_has_no_correlation() -> None:
    plain, partial = map_correlations(np.zeros((1, 64)), normal(1, 64))
    assert np.isnan(plain).all()
    assert np.isnan(partial).all()


class Looker(nn.Module):
    """A network whose class is decided by the brightness of one square alone."""

    family = "cnn"

    def forward(self, images: Tensor, needs: frozenset[str] = frozenset()) -> Output:
        seen = images[:, :, 8:12, 20:24].mean(dim=(1, 2, 3))
        return Output(logits=torch.stack([seen, -seen], dim=1), pooled=seen[:, None])


def test_an_occlusion_map_shows_the_one_square_that_matters() -> None:
    images = np.full((3, 32, 32, 3), 200, np.uint8)
    images[2] = 55
    maps = occlusion_maps(Looker(), images, TRACK.data, CPU).reshape(3, 8, 8)  # type: ignore[arg-type]
    assert set(zip(*np.nonzero(maps[0]), strict=True)) == {(2, 5)}
    assert maps[2, 2, 5] == pytest.approx(maps[0, 2, 5])  # as sure of the other class, which is then watched
    seen = (200 / 255 - 0.5) / 0.5
    assert maps[0, 2, 5] == pytest.approx(np.log(2) - np.log1p(np.exp(-2 * seen)), abs=1e-6)


def test_pooled_features_are_what_the_classifier_reads() -> None:
    for family in ("cnn", "vit"):
        one, images = network(family), clean_arrays().images
        head = one.model.fc if family == "cnn" else one.model.head
        features = torch.from_numpy(pooled_features(one, images, TRACK.data, CPU)).float()
        logits = torch.from_numpy(logits_of(one, images, TRACK.data, CPU))
        torch.testing.assert_close(head(features).detach(), logits, atol=1e-4, rtol=0)  # type: ignore[operator]


def test_a_network_is_like_itself_in_every_respect() -> None:
    one, clean = network("cnn"), clean_arrays(10)
    maps = first_occlusion_maps(one, clean, TRACK.data, CPU)
    numbers = feature_similarity(one, one, clean, TRACK.data, CPU) | map_similarity(maps, maps)
    assert numbers == pytest.approx(
        {
            "cka": 1,
            "occlusion_correlation": 1,
            "occlusion_correlation_off_centre": 1,
            "occlusion_overlap": 1,
            "occlusion_undefined": 0,
        }
    )


def test_maps_overlap_where_both_put_their_highest_fifth() -> None:
    first, second = np.zeros((1, 10)), np.zeros((1, 10))
    first[0, [0, 1]], second[0, [1, 2]] = 1, 1
    assert top_overlaps(first, second).tolist() == [1 / 3]


def test_mass_on_an_object_counts_squares_by_how_much_of_them_it_covers() -> None:
    """Four squares of four pixels: the object fills the first and half of the second."""
    objects = np.zeros((1, 4, 4), np.uint8)
    objects[0, :2, :3] = 255
    shares = {
        on: mass_on_objects(np.array([maps]), objects)["occlusion_on_object"]
        for on, maps in {
            "the object": [2.0, 0.0, 0.0, 0.0],
            "its edge": [0.0, 3.0, -5.0, 0.0],
            "the rest": [0.0, 0.0, 0.1, 0.1],
            "everything": [1.0, 1.0, 1.0, 1.0],
        }.items()
    }
    assert shares == {"the object": 1.0, "its edge": 0.5, "the rest": 0.0, "everything": 0.375}


def test_a_map_on_which_nothing_matters_has_no_mass_anywhere() -> None:
    objects = np.full((2, 4, 4), 255, np.uint8)
    assert mass_on_objects(np.array([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]]), objects) == {"occlusion_on_object": 1.0}
    assert mass_on_objects(np.zeros((2, 4)), objects) == {}


def test_numbers_that_cannot_be_computed_are_left_out() -> None:
    clean = clean_arrays(10)
    grey = TestArrays(np.full_like(clean.images, 128), clean.targets, clean.textures, clean.index)
    assert feature_similarity(Looker(), Looker(), grey, TRACK.data, CPU) == {}  # type: ignore[arg-type]
    assert map_similarity(np.zeros((2, 64)), normal(2, 64)) == {"occlusion_undefined": 1}


def test_the_images_that_are_occluded_are_the_first_500_and_of_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(occlusion, "occlusion_maps", lambda _, images, *__: seen.append(images))
    clean = clean_arrays(1000)
    first_occlusion_maps(Looker(), clean, TRACK.data, CPU)  # type: ignore[arg-type]
    np.testing.assert_array_equal(seen[0], clean.images[:500])
    uneven = TestArrays(clean.images, np.sort(clean.targets), clean.textures, clean.index)
    first_occlusion_maps(Looker(), uneven, TRACK.data, CPU)  # type: ignore[arg-type]
    first_of_each = [row for k in range(10) for row in range(100 * k, 100 * k + 50)]
    np.testing.assert_array_equal(seen[1], clean.images[first_of_each])


def test_maps_are_kept_beside_the_record(tmp_path: Path) -> None:
    maps = normal(3, 64)
    assert read_maps(tmp_path) is None
    write_maps(tmp_path, maps)
    np.testing.assert_array_equal(read_maps(tmp_path), maps.astype(np.float32))


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04"])
def test_maps_that_are_damaged_are_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / OCCLUSION).write_bytes(damage)
    assert read_maps(tmp_path) is None
