"""Test sets travel in an archive, and nothing arrives that was not sent."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.data.cifar10 import Cifar10
from kdbench.errors import DataError, InputError
from kdbench.spec import Track
from kdbench.testsets.archive import CONTENTS, export_test_sets, import_test_sets
from kdbench.testsets.arrays import TestArrays, array_digests
from kdbench.testsets.build import build_test_sets, verify_test_sets
from kdbench.testsets.frozen import manifest_path, read_manifest, write_proposal
from kdbench.testsets.spec import load_spec
from kdbench.testsets.store import TestSetStore
from tests.testsets.pictures import disk_masks, small_cifar10

SYNTHETIC = load_spec().track("synthetic")
NAME = "small"


def small_track(images: int = 20, track: Track = SYNTHETIC) -> Track:
    sets = tuple(test_set.model_copy(update={"images": images}) for test_set in track.test_sets)
    return track.model_copy(update={"name": NAME, "test_sets": sets})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def built(store: Path) -> dict[str, TestArrays]:
    return build_test_sets(small_track(), store, source=None)


@pytest.fixture(scope="module")
def archive(built: dict[str, TestArrays], store: Path) -> Path:
    test_set_store = TestSetStore.of(small_track(), store, source=None)
    export_test_sets(test_set_store, "generated", store / "sets.zip", diagnostics=False)
    return store / "sets.zip"


def imported(archive: Path, cache: Path, track: Track | None = None) -> dict[str, TestArrays]:
    track = track or small_track()
    return import_test_sets(archive, {track.name: track}, cache)[1]


def test_what_is_imported_is_what_was_exported(archive: Path, built: dict[str, TestArrays], tmp_path: Path) -> None:
    assert array_digests(imported(archive, tmp_path)) == array_digests(built)
    opened = verify_test_sets(small_track(), tmp_path, source=None)
    assert array_digests(opened) == array_digests(built)
    assert array_digests(imported(archive, tmp_path)) == array_digests(built)


def test_sets_of_photographs_are_found_by_who_has_the_same_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.testsets.build.masks_of", disk_masks)
    track, source = small_track(track=load_spec().track("cifar10-32")), small_cifar10(2)
    made = build_test_sets(track, tmp_path / "here", source=source)
    test_set_store = TestSetStore.of(track, tmp_path / "here", source=source)
    contents = export_test_sets(test_set_store, "other", tmp_path / "sets.zip", diagnostics=False)
    assert (contents.source, contents.source_sha256) == ("other", source.test_sha256)
    imported(tmp_path / "sets.zip", tmp_path / "there", track)
    assert array_digests(verify_test_sets(track, tmp_path / "there", source=source)) == array_digests(made)
    with pytest.raises(DataError, match=r"clean, .* are not built"):
        verify_test_sets(track, tmp_path / "there", source=small_cifar10(2, seed=7))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_flipped_byte_is_refused_and_nothing_arrives(archive: Path, tmp_path: Path, share: float) -> None:
    data = bytearray(archive.read_bytes())
    data[int(share * len(data))] ^= 0x10
    (tmp_path / "flipped.zip").write_bytes(data)
    with pytest.raises(DataError):
        imported(tmp_path / "flipped.zip", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob(f"{NAME}/*"))


def test_a_byte_that_was_flipped_before_it_was_packed_is_refused(archive: Path, tmp_path: Path) -> None:
    def flip(name: str, data: bytes) -> bytes:
        return data[:-1] + bytes([data[-1] ^ 1]) if name.startswith("noise-") and name.endswith("images.npy") else data

    repacked(archive, tmp_path / "altered.zip", flip)
    with pytest.raises(DataError, match=r"images.npy has the sha256 \w+, expected") as caught:
        imported(tmp_path / "altered.zip", tmp_path / "cache")
    assert str(caught.value).startswith(f"{tmp_path / 'altered.zip'} holds the set noise, which is damaged (noise-")
    assert str(caught.value).endswith("); get the archive again")
    assert ".importing-" not in str(caught.value)
    assert not list((tmp_path / "cache").glob(f"{NAME}/*"))


def repacked(archive: Path, to: Path, change: Callable[[str, bytes], bytes], **more: bytes) -> None:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, data in more.items():
            new.writestr(name, data)


def as_it_is(name: str, data: bytes) -> bytes:
    return data


def test_a_file_that_would_lie_elsewhere_is_refused(archive: Path, tmp_path: Path) -> None:
    for name in ("../evil.npy", "/evil.npy", "clean-000000000000/images.npy", "evil.npy"):
        repacked(archive, tmp_path / "more.zip", as_it_is, **{name: b"evil"})
        with pytest.raises(DataError, match="belongs to no set"):
            imported(tmp_path / "more.zip", tmp_path / "cache")
        assert not list(tmp_path.rglob("evil*"))


def test_an_archive_of_another_spec_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of another spec"):
        imported(archive, tmp_path, small_track(30))
    with pytest.raises(DataError, match="of the track 'small'; this spec has: synthetic"):
        imported(archive, tmp_path, small_track().model_copy(update={"name": "synthetic"}))


def test_an_archive_of_another_recipe_is_refused(archive: Path, tmp_path: Path) -> None:
    def rename(name: str, data: bytes) -> bytes:
        if name != CONTENTS:
            return data
        contents = json.loads(data)
        contents["folders"]["clean"] = "clean-000000000000"
        return json.dumps(contents).encode()

    repacked(archive, tmp_path / "other.zip", rename)
    with pytest.raises(DataError, match="clean, made by the recipe of another version"):
        imported(tmp_path / "other.zip", tmp_path / "cache")


@pytest.mark.parametrize("cut", [10, 2000])
def test_a_download_cut_short_is_refused(archive: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:-cut])
    with pytest.raises(DataError, match="not an archive of test sets, or it is damaged"):
        imported(tmp_path / "cut.zip", tmp_path / "cache")


def test_a_zip_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "else.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match=r"no valid archive\.json"):
        imported(tmp_path / "else.zip", tmp_path / "cache")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        imported(tmp_path / "missing.zip", tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_not_the_archives_fault(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=rf"^the test sets cannot be written into {tmp_path / 'file'}: .*KDBENCH_CACHE"):
        imported(archive, tmp_path / "file")


def test_an_encrypted_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    entry = data.find(b"PK\x01\x02")  # of the central directory, where the readers look for flags
    while entry >= 0:
        data[entry + 8] |= 1
        entry = data.find(b"PK\x01\x02", entry + 1)
    (tmp_path / "secret.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"secret.zip is not an archive of test sets, or it is damaged: .*encrypted"):
        imported(tmp_path / "secret.zip", tmp_path / "cache")


def test_sets_that_are_not_the_frozen_ones_are_refused(tmp_path: Path) -> None:
    """The benchmark's own track has frozen digests; twenty images a set are not what they are of."""
    track = small_track().model_copy(update={"name": "synthetic"})
    build_test_sets(track, tmp_path / "here", source=None)
    test_set_store = TestSetStore.of(track, tmp_path / "here", source=None)
    export_test_sets(test_set_store, "generated", tmp_path / "sets.zip", diagnostics=False)
    with pytest.raises(DataError, match=r"the set clean with the sha256 \w+\.\.\., but the frozen set has"):
        imported(tmp_path / "sets.zip", tmp_path / "there", track)


def test_what_is_not_built_cannot_be_exported(tmp_path: Path) -> None:
    test_set_store = TestSetStore.of(small_track(), tmp_path, source=None)
    with pytest.raises(DataError, match="holds no built arrays"):
        export_test_sets(test_set_store, "generated", tmp_path / "sets.zip", diagnostics=False)
    assert not (tmp_path / "sets.zip").exists()


def a_copy(kind: str) -> Cifar10:
    source = small_cifar10(2)
    images, labels = source.test_images, source.test_labels
    return Cifar10(images, labels, images, labels, source=kind, layout="torchvision")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["original", "other"])
def test_a_proposal_calls_original_only_what_matches_the_checksum(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.testsets.build.masks_of", disk_masks)
    track, source = small_track(track=load_spec().track("cifar10-32")), a_copy(kind)
    arrays = build_test_sets(track, tmp_path, source=source)
    rows = write_proposal(tmp_path / "proposal.toml", track, arrays, source)
    assert read_manifest(tmp_path / "proposal.toml") == rows
    assert {row.source for row in rows} == {kind}
    assert {row.set: row.sha256 for row in rows} == array_digests(arrays)
    assert ("make no run official" in (tmp_path / "proposal.toml").read_text()) is (kind == "other")


def test_a_proposal_never_takes_the_place_of_the_manifest(built: dict[str, TestArrays]) -> None:
    before = manifest_path(SYNTHETIC).read_bytes()
    with pytest.raises(InputError, match="frozen manifest"):
        write_proposal(manifest_path(SYNTHETIC), small_track(), built, None)
    assert manifest_path(SYNTHETIC).read_bytes() == before
