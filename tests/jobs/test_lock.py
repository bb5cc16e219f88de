"""One command at a time writes into a results folder."""

import errno
import fcntl
import logging
import os
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.files import atomic_file
from kdbench.jobs.lock import sole_user


def test_a_second_user_is_refused_and_a_later_one_is_not(tmp_path: Path) -> None:
    with (
        sole_user(tmp_path),
        pytest.raises(InputError, match=f"another kdbench run is writing to {tmp_path}; .*another folder"),
    ):
        sole_user(tmp_path).__enter__()
    with sole_user(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            InputError, match=f"results folder {tmp_path / 'file' / 'runs'} cannot be written: .*another one"
        ),
        sole_user(tmp_path / "file" / "runs"),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of_and_used(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_lock(descriptor: int, operation: int) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    with caplog.at_level(logging.WARNING), sole_user(tmp_path):
        (tmp_path / "written").touch()
    assert [record.getMessage() for record in caplog.records if record.name == "kdbench.jobs.lock"] == [
        f"the file system of {tmp_path} has no locks; do not start a second kdbench run that writes there"
    ]


def test_a_file_system_without_permissions_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_permissions(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    for name in ("chmod", "fchmod"):
        monkeypatch.setattr(os, name, no_permissions)
    with sole_user(tmp_path), atomic_file(tmp_path / "written") as file:
        file.write(b"content")
    assert (tmp_path / "written").read_bytes() == b"content"


def test_a_loop_of_links_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to("first")
    with pytest.raises(InputError, match=r"first cannot be written: .*; choose another"), sole_user(tmp_path / "first"):
        pass
