"""Occlusion maps, and what two networks' maps have in common, against answers known beforehand."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from kdbench.evaluation import occlusion
from kdbench.evaluation.occlusion import (
    closeness_to_centre,
    first_occlusion_maps,
    map_correlations,
    mass_on_objects,
    occlusion_maps,
    top_overlaps,
)
from kdbench.testsets.arrays import TestArrays
from tests.evaluation.small_networks import CPU, TRACK, Looker, clean_arrays, normal


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


def test_an_occlusion_map_shows_the_one_square_that_matters() -> None:
    images = np.full((3, 32, 32, 3), 200, np.uint8)
    images[2] = 55
    maps = occlusion_maps(Looker(), images, TRACK.data, CPU).reshape(3, 8, 8)  # type: ignore[arg-type]
    assert set(zip(*np.nonzero(maps[0]), strict=True)) == {(2, 5)}
    assert maps[2, 2, 5] == pytest.approx(maps[0, 2, 5])  # as sure of the other class, which is then watched
    seen = (200 / 255 - 0.5) / 0.5
    assert maps[0, 2, 5] == pytest.approx(np.log(2) - np.log1p(np.exp(-2 * seen)), abs=1e-6)


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
