"""A file is written whole or not at all."""

import contextlib
import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import WriteError
from kdbench.files import DAMAGES, atomic_file


def write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def fail_to_flush(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let flushing to the disk fail as the system would."""

    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)


def test_a_file_appears_with_its_folder_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    write(path, b"first")
    write(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_at_the_path_before_the_file_is_whole(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "file") as file:
        file.write(b"half")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"half"


def test_an_interrupted_write_keeps_the_old_file_and_leaves_no_rest(tmp_path: Path) -> None:
    write(tmp_path / "kept", b"old")
    with contextlib.suppress(KeyboardInterrupt), atomic_file(tmp_path / "kept") as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert (tmp_path / "kept").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_write_left_is_removed_by_the_next_to_the_same_path(tmp_path: Path) -> None:
    names = {".kept.01234abc", ".other.01234abc", ".kept.of_the_user", ".kept.json.01234abc"}
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    write(tmp_path / "kept", b"new")
    assert {path.name for path in tmp_path.iterdir()} == names - {".kept.01234abc"} | {"kept"}


def test_a_name_with_signs_of_patterns_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / ".a.01234abc").touch()
    write(tmp_path / "[ab]", b"new")
    assert (tmp_path / ".a.01234abc").exists()


def test_a_file_that_is_still_written_is_not_taken_for_one_that_a_killed_write_left(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "file") as file:
        write(tmp_path / "file", b"of another")
        file.write(b"of the one that ends last")
    assert (tmp_path / "file").read_bytes() == b"of the one that ends last"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_keeps_the_old_file_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "kept", b"old")
    fail_to_flush(monkeypatch, errno.ENOSPC)
    with pytest.raises(
        WriteError, match=f"{tmp_path / 'kept'}: No space left .*; free space or choose another"
    ) as caught:
        write(tmp_path / "kept", b"new")
    assert caught.value.exit_code == 2
    assert (tmp_path / "kept").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fail_to_flush(monkeypatch, code)
    write(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("code", [errno.EIO, errno.EDQUOT])
def test_a_flush_that_fails_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    fail_to_flush(monkeypatch, code)
    with pytest.raises(WriteError):
        write(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "file", b"")
    with pytest.raises(WriteError, match=f"{tmp_path / 'file' / 'run'}.*choose another folder"):
        write(tmp_path / "file" / "run" / "result", b"")


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_file_has_the_permissions_of_an_ordinary_one(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def error_of_reading(path: Path) -> Exception | None:
    """Return what reading two arrays of a file raises, None if it raises nothing."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            _ = arrays["first"], arrays["second"]
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("compressed", [False, True])
def test_every_damage_of_an_array_file_is_on_the_list(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "arrays.npz"
    (np.savez_compressed if compressed else np.savez)(path, first=np.arange(60), second=np.zeros((3, 20)))
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        for damaged in (whole[:position], whole[:position] + b"\xff\xfe" + whole[position + 2 :]):
            path.write_bytes(damaged)
            error = error_of_reading(path)
            assert error is None or isinstance(error, DAMAGES), f"{type(error).__name__} at byte {position}"
