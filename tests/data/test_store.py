"""What the store opens is what was written, or it says which file is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kdbench.data.store import array_sha256, has_entry, read_entry, write_entry
from kdbench.errors import DataError

ARRAYS: dict[str, NDArray[Any]] = {
    "images": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
    "targets": np.array([3, 4], np.int16),
}
RECIPE = {"version": 1, "shape": (2, 2), "source": "generated"}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    write_entry(tmp_path / "clean", RECIPE, ARRAYS, {"coverage": [1.0]})
    return tmp_path / "clean"


def test_arrays_come_back_memory_mapped_and_read_only(entry: Path) -> None:
    opened = read_entry(entry, RECIPE, ())
    np.testing.assert_array_equal(opened["images"], ARRAYS["images"])
    assert isinstance(opened["images"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        opened["images"][0] = 0


def test_a_changed_byte_is_found_and_both_digests_are_named(entry: Path) -> None:
    data = bytearray((entry / "images.npy").read_bytes())
    data[-1] ^= 1
    (entry / "images.npy").write_bytes(data)
    with pytest.raises(
        DataError, match=rf"images.npy has the sha256 \w+, expected {array_sha256(ARRAYS['images'])}; move"
    ):
        read_entry(entry, RECIPE, ())


def test_a_truncated_array_is_refused(entry: Path) -> None:
    data = (entry / "images.npy").read_bytes()
    (entry / "images.npy").write_bytes(data[:-5])
    with pytest.raises(DataError, match=r"images.npy cannot be read"):
        read_entry(entry, RECIPE, ())


def test_a_missing_array_is_refused(entry: Path) -> None:
    (entry / "targets.npy").unlink()
    with pytest.raises(DataError, match=r"targets.npy cannot be read"):
        read_entry(entry, RECIPE, ())


@pytest.mark.parametrize("change", [{"source": "other"}, {"version": 2}, {"limit": 5}])
def test_an_entry_of_another_recipe_is_refused(entry: Path, change: dict[str, object]) -> None:
    with pytest.raises(DataError, match=f"another recipe or source \\(different: {next(iter(change))}\\)"):
        read_entry(entry, {**RECIPE, **change}, ())


def test_a_damaged_manifest_is_refused(entry: Path) -> None:
    (entry / "manifest.json").write_text('{"recipe": {')
    with pytest.raises(DataError, match=r"manifest.json is damaged"):
        read_entry(entry, RECIPE, ())


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "[]",
        '{"recipe": [], "facts": {}, "arrays": {}}',
        '{"recipe": {}, "facts": {}, "arrays": []}',
        '{"recipe": {}, "facts": {}, "arrays": {"images": 3}}',
        '{"recipe": {}, "facts": {}, "arrays": {"../images": {}}}',
        "[" * 100_000,
    ],
)
def test_a_manifest_that_is_something_else_is_refused(entry: Path, text: str) -> None:
    (entry / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=rf"manifest.json is damaged: .*; move {entry} elsewhere to build it again"):
        read_entry(entry, RECIPE, ())


def test_an_array_that_the_manifest_does_not_name_is_refused(entry: Path) -> None:
    with pytest.raises(
        DataError, match=rf"manifest.json is damaged: it does not list the array order; move {entry} elsewhere"
    ):
        read_entry(entry, RECIPE, ("images", "order"))


def test_arrays_without_a_manifest_do_not_count(entry: Path) -> None:
    (entry / "manifest.json").unlink()
    assert not has_entry(entry)
    with pytest.raises(DataError, match="holds no built arrays"):
        read_entry(entry, RECIPE, ())


@pytest.mark.parametrize("writes", range(3))
def test_a_write_that_ends_at_any_file_leaves_nothing_that_loads(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = 0
    replace = Path.replace

    def dies(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done > writes:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write_entry(tmp_path, RECIPE, ARRAYS, {})
    assert not has_entry(tmp_path)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"No space left on device; free space, or set .* KDBENCH_CACHE"):
        write_entry(tmp_path, RECIPE, ARRAYS, {})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_the_bytes_alone() -> None:
    fortran = np.asfortranarray(ARRAYS["images"])
    swapped = ARRAYS["targets"].astype(">i2")
    assert array_sha256(fortran, swapped) == array_sha256(ARRAYS["images"], ARRAYS["targets"])
    assert (
        array_sha256() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )  # of nothing (FIPS 180-4)


def test_the_manifest_says_what_was_made(entry: Path) -> None:
    manifest = json.loads((entry / "manifest.json").read_text())
    assert manifest["facts"] == {"coverage": [1.0]}
    assert manifest["arrays"]["targets"]["dtype"] == "<i2"
