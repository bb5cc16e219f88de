"""CIFAR-10 is decoded once per copy, whatever its layout; another copy, or a damaged entry, is decoded anew."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdbench.data import decoded
from kdbench.data.cifar10 import Cifar10, read_cifar10
from kdbench.data.decoded import MOST_COPIES, open_cifar10
from kdbench.errors import DataError
from tests.data import copies

Decodings = list[object]


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Decodings:
    """The copies that were decoded since the test began."""
    copies.small_counts(monkeypatch)
    seen: Decodings = []

    def counted(root: Path | None, download_to: Path) -> Cifar10:
        seen.append(root)
        return read_cifar10(root, download_to)

    monkeypatch.setattr(decoded, "read_cifar10", counted)
    return seen


@pytest.mark.parametrize("write", [copies.parquet_copy, copies.folder_copy], ids=["parquet", "image-folder"])
def test_a_copy_is_decoded_once_to_the_same_arrays(
    write: Callable[[Path], Path], tmp_path: Path, decodings: Decodings
) -> None:
    root, cache = write(tmp_path / "copy"), tmp_path / "cache"
    first, second = open_cifar10(root, cache), open_cifar10(root, cache)
    plain = read_cifar10(root, cache)
    assert decodings == [root]
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(second, name), getattr(plain, name))
        assert getattr(second, name).dtype == getattr(plain, name).dtype
        assert not getattr(second, name).flags.writeable
    assert (second.source, second.layout, second.test_sha256) == (first.source, first.layout, plain.test_sha256)


def test_torchvisions_batches_stay_the_original(
    tmp_path: Path, decodings: Decodings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copies.torchvision_copy(tmp_path / "copy", monkeypatch)
    opened = [open_cifar10(root, tmp_path / "cache") for _ in range(2)]
    assert decodings == [root]
    assert {(copy.source, copy.layout) for copy in opened} == {("original", "torchvision")}


def test_the_download_is_decoded_once_too(
    tmp_path: Path, decodings: Decodings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies.torchvision_copy(tmp_path, monkeypatch)  # as a download leaves it in the cache
    for _ in range(2):
        assert open_cifar10(None, tmp_path).source == "original"
    assert decodings == [None]


def test_a_copy_with_another_byte_is_another_entry_and_is_checked_anew(tmp_path: Path, decodings: Decodings) -> None:
    root, cache = copies.folder_copy(tmp_path / "copy"), tmp_path / "cache"
    before = open_cifar10(root, cache)
    changed = next(iter(sorted(root.glob("test/airplane/*.png"))))
    status = changed.stat()
    changed.write_bytes(copies.png(np.zeros((32, 32, 3), np.uint8)))
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = open_cifar10(root, cache)
    assert len(decodings) == 2
    assert before.test_sha256 != after.test_sha256


def test_the_same_files_elsewhere_or_touched_are_not_decoded_again(tmp_path: Path, decodings: Decodings) -> None:
    root, cache = copies.parquet_copy(tmp_path / "copy"), tmp_path / "cache"
    open_cifar10(root, cache)
    shutil.copytree(root, tmp_path / "elsewhere")
    for path in root.iterdir():
        path.touch()
    open_cifar10(tmp_path / "elsewhere", cache)
    open_cifar10(root, cache)
    assert decodings == [root]


def test_a_damaged_entry_is_made_again_with_a_word(
    tmp_path: Path, decodings: Decodings, caplog: pytest.LogCaptureFixture
) -> None:
    root, cache = copies.parquet_copy(tmp_path / "copy"), tmp_path / "cache"
    digest = open_cifar10(root, cache).test_sha256
    (damaged,) = cache.rglob("test_images.npy")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert open_cifar10(root, cache).test_sha256 == digest
    assert f"{damaged} has the sha256" in caplog.text
    assert len(decodings) == 2
    assert open_cifar10(root, cache).test_sha256 == digest
    assert len(decodings) == 2


def test_a_copy_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, decodings: Decodings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = copies.parquet_copy(tmp_path / "copy"), tmp_path / "cache"

    def changing(*arguments: Path) -> Cifar10:
        copy = read_cifar10(*arguments)
        next(root.glob("test-*.parquet")).touch()
        return copy

    monkeypatch.setattr(decoded, "read_cifar10", changing)
    with pytest.raises(DataError, match=rf"in {root} changed while it was read"):
        open_cifar10(root, cache)
    assert not list(cache.rglob("manifest.json"))


def test_a_bad_copy_leaves_no_entry(tmp_path: Path, decodings: Decodings) -> None:
    root, cache = copies.parquet_copy(tmp_path / "copy"), tmp_path / "cache"
    next(root.glob("test-*.parquet")).unlink()
    with pytest.raises(DataError, match=r"has no test-\*.parquet"):
        open_cifar10(root, cache)
    assert not list(cache.rglob("*.npy"))


def test_the_cache_keeps_a_fixed_number_of_copies(tmp_path: Path, decodings: Decodings) -> None:
    root, cache = copies.folder_copy(tmp_path / "copy"), tmp_path / "cache"
    picture = next(iter(sorted(root.glob("test/airplane/*.png"))))
    for grey in range(MOST_COPIES + 2):
        picture.write_bytes(copies.png(np.full((32, 32, 3), grey, np.uint8)))
        open_cifar10(root, cache)
    assert len(list(cache.rglob("manifest.json"))) == MOST_COPIES
    open_cifar10(root, cache)
    assert len(decodings) == MOST_COPIES + 2


def test_a_folder_beside_the_batches_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies.small_counts(monkeypatch)
    root = copies.torchvision_copy(tmp_path / "copy", monkeypatch)
    (root / "cifar-10-batches-py" / "notes").mkdir()
    assert open_cifar10(root, tmp_path / "cache").layout == "torchvision"
