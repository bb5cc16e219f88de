"""The shipped manifest pins the bytes of the synthetic test sets; arrays of no frozen digest are called by name."""

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdbench.data.cifar10 import read_cifar10
from kdbench.errors import DataError
from kdbench.plan.overrides import with_overrides
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.frozen import (
    NOT_JPEG,
    differences_from_frozen,
    manifest_path,
    manifest_rows,
    read_manifest,
    source_kind,
    write_manifest,
)
from kdbench.testsets.spec import load_spec
from tests.testsets.pictures import small_cifar10

SYNTHETIC = load_spec().track("synthetic")
REAL = Path(__file__).parents[2].parent / "shared" / "cifar10"


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TestArrays]:
    return build_test_sets(SYNTHETIC, tmp_path_factory.mktemp("store"), source=None, diagnostics=True)


def test_every_synthetic_array_is_the_frozen_one(arrays: dict[str, TestArrays]) -> None:
    frozen = tuple(row for row in read_manifest(manifest_path(SYNTHETIC)) if row.track == "synthetic")
    assert [row.set for row in frozen] == [each.name for each in evaluated_sets(SYNTHETIC, diagnostics=True)]
    assert manifest_rows(SYNTHETIC, arrays, None) == frozen
    assert differences_from_frozen(SYNTHETIC, arrays, None) == ()


@pytest.mark.slow
def test_the_bytes_are_the_same_without_vector_instructions(tmp_path: Path) -> None:
    """numpy takes other code paths on other processors; none may change a byte."""
    processor = importlib.import_module("numpy._core._multiarray_umath")
    features = [name for name in processor.__cpu_dispatch__ if processor.__cpu_features__[name]]
    script = (
        "import sys, pathlib; from kdbench.testsets.spec import load_spec;"
        "from kdbench.testsets.build import build_test_sets;"
        "from kdbench.testsets.frozen import differences_from_frozen;"
        "from numpy._core._multiarray_umath import __cpu_features__ as features;"
        "assert not any(features[name] for name in sys.argv[2:]);"
        "track = load_spec().track('synthetic');"
        "made = build_test_sets(track, pathlib.Path(sys.argv[1]), source=None, diagnostics=True);"
        "print(differences_from_frozen(track, made, None))"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    command = [sys.executable, "-c", script, str(tmp_path), *features]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "()", done.stderr


def test_the_shipped_segment_maps_belong_to_the_clean_images(arrays: dict[str, TestArrays]) -> None:
    with np.load(manifest_path(SYNTHETIC).with_name("slic_labels.npz")) as shipped:
        labels = shipped["labels"]
    assert labels.shape == arrays["clean"].images.shape[:3]
    for row in (0, 500, 999):  # the locality image has one colour in each segment
        image = arrays["locality"].images[row]
        for label in np.unique(labels[row]):
            assert len(np.unique(image[labels[row] == label], axis=0)) == 1


def test_a_limited_build_is_not_the_frozen_one(tmp_path: Path) -> None:
    limited = build_test_sets(with_overrides(SYNTHETIC, limit_test=10)[0], tmp_path, source=None)
    reasons = differences_from_frozen(SYNTHETIC, limited, None)
    assert "test set clean (10 images) is not the frozen one (1000 images)" in reasons


def test_a_missing_set_is_a_difference_unless_it_is_diagnostic(arrays: dict[str, TestArrays]) -> None:
    without = {name: array for name, array in arrays.items() if name not in ("noise", "texture-field")}
    assert differences_from_frozen(SYNTHETIC, without, None) == ("test set noise was not built",)


def test_a_diagnostic_set_is_compared_where_the_manifest_names_it_alone(
    arrays: dict[str, TestArrays], tmp_path: Path
) -> None:
    other = arrays | {"texture-field": arrays["noise"]}
    assert differences_from_frozen(SYNTHETIC, other, None) == (
        "test set texture-field (1000 images) is not the frozen one (1000 images)",
    )
    unnamed = tuple(row for row in manifest_rows(SYNTHETIC, arrays, None) if row.set != "texture-field")
    write_manifest(tmp_path / "manifest.toml", unnamed, heading="All but the diagnostic set.")
    assert differences_from_frozen(SYNTHETIC, other, None, manifest=tmp_path / "manifest.toml") == ()


def test_a_copy_of_cifar10_without_checksums_is_never_frozen(arrays: dict[str, TestArrays]) -> None:
    reasons = differences_from_frozen(load_spec().track("cifar10-32"), arrays, small_cifar10())
    assert len(reasons) == 1
    assert "not the original" in reasons[0]


def test_a_track_of_the_jpeg_copy_takes_the_copy_with_its_digest_and_no_other() -> None:
    source, jpeg = small_cifar10(), load_spec().track("cifar10-32-jpeg")
    assert source_kind(jpeg, source) == "other"
    assert differences_from_frozen(jpeg, {}, source) == (NOT_JPEG,)
    assert differences_from_frozen(jpeg, {}, replace(source, source="original")) == (NOT_JPEG,)
    of_this_copy = jpeg.model_copy(
        update={"data": jpeg.data.model_copy(update={"jpeg_sha256": source.test_sha256})}, deep=True
    )
    assert source_kind(of_this_copy, source) == "jpeg"
    assert all("was not built" in reason for reason in differences_from_frozen(of_this_copy, {}, source))


def test_a_track_without_a_manifest_has_no_frozen_digest(arrays: dict[str, TestArrays], tmp_path: Path) -> None:
    reasons = differences_from_frozen(SYNTHETIC, arrays, None, manifest=tmp_path / "x" / "manifest.toml")
    assert len(reasons) == sum(not test_set.diagnostic for test_set in SYNTHETIC.test_sets)
    assert reasons[0] == "no digest of test set clean is frozen in x/manifest.toml"


def test_a_manifest_comes_back_as_it_was_written(arrays: dict[str, TestArrays], tmp_path: Path) -> None:
    rows = manifest_rows(SYNTHETIC, arrays, None)
    write_manifest(tmp_path / "manifest.toml", rows, heading="A claim.")
    assert read_manifest(tmp_path / "manifest.toml") == rows
    assert (tmp_path / "manifest.toml").read_text().startswith("# A claim.\n")


@pytest.mark.parametrize("text", ["[[array", "[[array]]\nset = 'clean'", "[[array]]\nnope = 1"])
def test_a_damaged_manifest_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(text)
    with pytest.raises(DataError, match=r"manifest.toml is not a manifest of arrays"):
        read_manifest(tmp_path / "manifest.toml")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="no copy of CIFAR-10 beside the project")
def test_arrays_of_the_jpeg_copy_are_those_of_the_manifest(tmp_path: Path) -> None:
    """The sets without floats: what they are is decided by the copy and the integers drawn."""
    source, track = read_cifar10(REAL, REAL), load_spec().track("cifar10-32-jpeg")
    integer = tuple(test_set for test_set in track.test_sets if test_set.axis in ("clean", "scramble", "noise"))
    arrays = build_test_sets(track.model_copy(update={"test_sets": integer}), tmp_path, source=source)
    pinned = {row.set: row for row in read_manifest(manifest_path(track)) if row.track == track.name}
    assert manifest_rows(track, arrays, source) == tuple(pinned[name] for name in arrays)


@pytest.mark.parametrize("track_name", ["synthetic", "cifar10-32"])
def test_shipped_manifests_are_as_they_would_be_written(track_name: str, tmp_path: Path) -> None:
    path = manifest_path(load_spec().track(track_name))
    text = path.read_text()
    heading = text[: text.index("\n\n")].removeprefix("# ")
    write_manifest(tmp_path / "manifest.toml", read_manifest(path), heading=heading)
    assert (tmp_path / "manifest.toml").read_text() == text
