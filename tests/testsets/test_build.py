"""A track's test sets are built once, opened verified, and do not depend on how they were built."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kdbench.data.cifar10 import Cifar10
from kdbench.errors import DataError, InputError
from kdbench.plan.overrides import with_overrides
from kdbench.spec import Track
from kdbench.testsets import workers
from kdbench.testsets.arrays import TestArrays, array_digests
from kdbench.testsets.build import build_test_sets, facts_of_test_sets, verify_test_sets
from kdbench.testsets.contact_sheet import contact_sheet, gallery
from kdbench.testsets.spec import load_spec
from tests.testsets.pictures import disk_masks, small_cifar10

SYNTHETIC = load_spec().track("synthetic")
SMALL = with_overrides(SYNTHETIC, limit_test=10)[0]


def cifar_track(images: int, conflicts: int = 90) -> Track:
    """The CIFAR track with fewer images."""
    track = load_spec().track("cifar10-32")
    sets = tuple(
        test_set.model_copy(update={"images": conflicts if test_set.axis == "cue-conflict" else images})
        for test_set in track.test_sets
    )
    return track.model_copy(update={"test_sets": sets})


@pytest.fixture(scope="module", autouse=True)
def _masks_of_the_disks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdbench.testsets.build.masks_of", disk_masks)
        yield


@pytest.fixture(scope="module")
def source() -> Cifar10:
    return small_cifar10()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def cifar(store: Path, source: Cifar10) -> dict[str, TestArrays]:
    return build_test_sets(cifar_track(30), store, source=source)


def test_every_set_of_the_spec_is_built(cifar: dict[str, TestArrays]) -> None:
    assert list(cifar) == [test_set.name for test_set in cifar_track(30).test_sets]
    assert all(
        test_arrays.images.shape[1:] == (32, 32, 3) and test_arrays.images.dtype == np.uint8
        for test_arrays in cifar.values()
    )
    assert all(
        test_arrays.targets.dtype == np.int16 and test_arrays.index.dtype == np.int32 for test_arrays in cifar.values()
    )


def test_an_image_keeps_the_class_of_the_one_it_was_made_from(cifar: dict[str, TestArrays]) -> None:
    for test_arrays in cifar.values():
        np.testing.assert_array_equal(test_arrays.targets, cifar["clean"].targets[test_arrays.index])


def test_shape_has_the_covered_images_alone_in_both_polarities(
    cifar: dict[str, TestArrays], source: Cifar10, store: Path
) -> None:
    white, black = cifar["shape-white"], cifar["shape-black"]
    np.testing.assert_array_equal(white.index, black.index)
    np.testing.assert_array_equal(255 - white.images, black.images)
    coverage = facts_of_test_sets(cifar_track(30), store, source=source)["shape-white"]["coverage"]
    expected = np.bincount(white.targets, minlength=10) / 3
    np.testing.assert_allclose(coverage, expected, atol=1e-4)
    assert 0 < len(white) < 30


def test_object_and_background_share_the_covered_images_and_no_pixel(cifar: dict[str, TestArrays]) -> None:
    alone, around, clean = cifar["object-alone"], cifar["background-alone"], cifar["clean"]
    np.testing.assert_array_equal(alone.index, cifar["shape-white"].index)
    np.testing.assert_array_equal(alone.index, around.index)
    inside = cifar["shape-white"].images > 0
    np.testing.assert_array_equal(alone.images, np.where(inside, clean.images[alone.index], 128))
    np.testing.assert_array_equal(around.images, np.where(inside, 128, clean.images[alone.index]))


def test_a_set_with_masks_is_refused_where_the_track_has_none(tmp_path: Path, source: Cifar10) -> None:
    track = cifar_track(30)
    bare = track.model_copy(update={"data": track.data.model_copy(update={"masks_sha256": None})})
    with pytest.raises(DataError, match=r"test set shape-white with .* have no object masks, which this set needs"):
        build_test_sets(bare, tmp_path, source=source)


def test_conflict_is_balanced_over_all_ordered_pairs(cifar: dict[str, TestArrays]) -> None:
    conflict = cifar["cue-conflict"]
    pairs = np.zeros((10, 10), int)
    np.add.at(pairs, (conflict.targets, conflict.textures), 1)
    assert (np.diag(pairs) == 0).all()
    assert (pairs[~np.eye(10, dtype=bool)] == 1).all()


def test_a_second_call_builds_nothing(cifar: dict[str, TestArrays], store: Path, source: Cifar10) -> None:
    steps: list[str] = []
    again = build_test_sets(cifar_track(30), store, source=source, progress=lambda name, *_: steps.append(name))
    assert steps == []
    assert array_digests(again) == array_digests(cifar)


def test_a_limited_build_has_the_same_images_as_the_whole(
    cifar: dict[str, TestArrays], store: Path, source: Cifar10
) -> None:
    limited = build_test_sets(with_overrides(cifar_track(30), limit_test=10)[0], store, source=source)
    assert np.bincount(limited["clean"].targets).tolist() == [1] * 10
    whole = {pixels.tobytes(): row for row, pixels in enumerate(cifar["clean"].images)}
    rows = [whole[image.tobytes()] for image in limited["clean"].images]
    for name in ("texture", "locality", "scramble-4", "noise"):
        np.testing.assert_array_equal(limited[name].images, cifar[name].images[rows])


@pytest.mark.slow
def test_more_processes_make_the_same_bytes(
    cifar: dict[str, TestArrays], tmp_path: Path, source: Cifar10, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CHUNK", 10)
    again = build_test_sets(cifar_track(30), tmp_path, source=source, workers=2)
    assert array_digests(again) == array_digests(cifar)


def test_progress_ends_at_the_number_of_images(tmp_path: Path) -> None:
    last: dict[str, tuple[int, int]] = {}
    build_test_sets(
        SMALL,
        tmp_path,
        source=None,
        progress=lambda name, *n: last.update({name: n}),
    )
    assert last == {test_set.name: (10, 10) for test_set in SYNTHETIC.test_sets if not test_set.diagnostic}


def test_diagnostic_sets_are_built_when_asked_for(tmp_path: Path) -> None:
    arrays = build_test_sets(SMALL, tmp_path, source=None, diagnostics=True)
    assert "texture-field" in arrays


def test_a_limited_build_leaves_the_whole_one_as_it_is(
    cifar: dict[str, TestArrays], tmp_path: Path, source: Cifar10
) -> None:
    build_test_sets(with_overrides(cifar_track(30), limit_test=10)[0], tmp_path, source=source)
    assert array_digests(build_test_sets(cifar_track(30), tmp_path, source=source)) == array_digests(cifar)


def test_sets_of_several_sources_lie_in_different_folders(tmp_path: Path) -> None:
    track = cifar_track(20, conflicts=10)
    first = build_test_sets(track, tmp_path, source=small_cifar10(2, seed=1))
    second = build_test_sets(track, tmp_path, source=small_cifar10(2, seed=2))
    reopened = verify_test_sets(track, tmp_path, source=small_cifar10(2, seed=1))
    assert array_digests(first) == array_digests(reopened)
    assert not set(array_digests(first).values()) & set(array_digests(second).values())


def test_sets_that_were_not_built_are_named(tmp_path: Path) -> None:
    build_test_sets(SMALL, tmp_path, source=None)
    shutil.rmtree(next(tmp_path.glob("synthetic/shape-*")))
    with pytest.raises(DataError, match=r"test sets shape of track synthetic are not built.*data build --track synth"):
        verify_test_sets(SMALL, tmp_path, source=None)
    assert not list(tmp_path.glob("synthetic/shape-*"))


def test_a_damaged_set_is_refused_not_rebuilt(tmp_path: Path) -> None:
    build_test_sets(SMALL, tmp_path, source=None)
    path = next(tmp_path.glob("synthetic/noise-*/images.npy"))
    data = bytearray(path.read_bytes())
    data[500] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"noise-\w+/images.npy has the sha256 \w+, expected \w+; move"):
        build_test_sets(SMALL, tmp_path, source=None)


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def dies(name: str, done: int, total: int) -> None:
        if name == "locality":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_test_sets(SMALL, tmp_path, source=None, progress=dies)
    steps: list[str] = []
    build_test_sets(SMALL, tmp_path, source=None, progress=lambda name, *_: steps.append(name))
    assert steps[0] == "locality"


def test_bad_requests_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs CIFAR-10"):
        build_test_sets(cifar_track(30), tmp_path, source=None)
    larger = SYNTHETIC.model_copy(update={"data": SYNTHETIC.data.model_copy(update={"image_size": 64})})
    with pytest.raises(DataError, match="are stored 64 pixels wide; arrays are built from 32"):
        build_test_sets(larger, tmp_path, source=None)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("scramble-4", {"grid": 5}, "test set scramble-4 with .*5x5 tiles; fix the spec"),
        ("noise", {"sise": 8}, "parameters of noise: unknown key sise"),
        ("clean", {"x": 1}, "parameters of clean: unknown key x"),
    ],
)
def test_parameters_that_nothing_can_be_made_with_are_named(
    name: str, parameters: dict[str, int], message: str, tmp_path: Path
) -> None:
    sets = tuple(
        test_set.model_copy(update={"parameters": parameters}) if test_set.name == name else test_set
        for test_set in SMALL.test_sets
    )
    with pytest.raises(InputError, match=message):
        build_test_sets(SMALL.model_copy(update={"test_sets": sets}), tmp_path, source=None)


def test_the_gallery_shows_one_image_under_every_manipulation(cifar: dict[str, TestArrays]) -> None:
    rows = gallery(cifar)
    assert list(rows) == list(cifar)
    for column in range(10):
        position = next(i for i, image in enumerate(cifar["clean"].images) if (image == rows["clean"][column]).all())
        for name in ("shape-white", "texture", "noise"):
            made = cifar[name].images[cifar[name].index == position]
            np.testing.assert_array_equal(made[0], rows[name][column])


def test_the_contact_sheet_is_a_picture_with_a_row_a_set(cifar: dict[str, TestArrays], tmp_path: Path) -> None:
    from PIL import Image

    contact_sheet(cifar, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height >= len(cifar) * 64
        assert sheet.width >= 10 * 64
