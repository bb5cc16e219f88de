"""Diagnostic sets show the same images otherwise manipulated, and change nothing of the primary ones."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.plan.overrides import with_overrides
from kdbench.testsets.arrays import TestArrays, array_digests
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.kinds.tiles import permuted_sets
from kdbench.testsets.spec import load_spec

SYNTHETIC = load_spec().track("synthetic")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def arrays(store: Path) -> dict[str, TestArrays]:
    return build_test_sets(with_overrides(SYNTHETIC, limit_test=30)[0], store, source=None, diagnostics=True)


def test_primary_sets_are_the_same_bytes_beside_diagnostic_ones(arrays: dict[str, TestArrays], tmp_path: Path) -> None:
    primary = array_digests(build_test_sets(with_overrides(SYNTHETIC, limit_test=30)[0], tmp_path, source=None))
    assert list(primary) == [test_set.name for test_set in SYNTHETIC.test_sets if not test_set.diagnostic]
    assert primary.items() < array_digests(arrays).items()


@pytest.mark.parametrize("track", ["synthetic", "cifar10-32"])
def test_every_kind_of_diagnostic_is_there_and_none_is_primary(track: str) -> None:
    settings = load_spec().track(track)
    added = [test_set for test_set in evaluated_sets(settings, diagnostics=True) if test_set not in settings.test_sets]
    assert all(test_set.diagnostic for test_set in added)
    assert {test_set.name for test_set in added} == {
        *(f"scramble-{grid}-permutation-{k}" for grid in (2, 4, 8) for k in (1, 2)),
        *(f"locality-{segments}" for segments in (16, 32, 128)),
        *("noise-4", "noise-12", "noise-offset"),
    }


def test_three_permutations_of_the_same_image_differ(arrays: dict[str, TestArrays]) -> None:
    for names in permuted_sets(SYNTHETIC).values():
        assert len(names) == 3
        for name in names:
            np.testing.assert_array_equal(
                np.sort(arrays[name].images, axis=None), np.sort(arrays[names[0]].images, axis=None)
            )
            np.testing.assert_array_equal(arrays[name].index, arrays["clean"].index)
        assert len({arrays[name].sha256 for name in names}) == 3


def test_the_offset_twin_is_the_same_noise_half_a_patch_away(arrays: dict[str, TestArrays]) -> None:
    def corners(name: str) -> np.ndarray:
        changed = (arrays[name].images != arrays["clean"].images).any(axis=-1)
        return np.stack([changed.any(axis=2).argmax(axis=1), changed.any(axis=1).argmax(axis=1)], axis=1)

    moved = corners("noise-offset") - corners("noise")
    assert (np.median(moved, axis=0) == 2).all()  # a noise pixel of zero, or clipped, hides the corner of some


def test_more_superpixels_stay_closer_to_the_image(arrays: dict[str, TestArrays]) -> None:
    clean = arrays["clean"].images.astype(int)
    names = ("locality-16", "locality-32", "locality", "locality-128")
    changes = [np.abs(arrays[name].images - clean).mean() for name in names]
    assert changes == sorted(changes, reverse=True)
