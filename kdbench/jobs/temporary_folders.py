"""Temporary folders that do not outlive the command that made them for long, however it ended."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdbench.errors import InputError
from kdbench.files import hold
from kdbench.jobs.hostile_files import remove

LONGEST_SOCKET = 107  # bytes of the path of a socket
_BELOW = len("/pymp-12345678/listener-12345678")  # what multiprocessing puts below the temporary folder
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def short_socket_folder() -> Iterator[None]:
    """Let multiprocessing make sockets in a folder whose path is short enough for them.

    Raises:
        InputError: the temporary folder's path is too long, and no other such folder can be written.
    """
    usual, before = tempfile.gettempdir(), tempfile.tempdir
    folders = [folder for folder in (usual, *_SHORT_FOLDERS) if _holds_sockets(folder)]
    if not folders:
        raise InputError(
            f"the temporary folder {usual} has a path of {len(os.fsencode(usual))} bytes, too long for a socket; set "
            f"the environment variable TMPDIR to a folder with a path of at most {LONGEST_SOCKET - _BELOW} bytes"
        )
    tempfile.tempdir = folders[0]
    try:
        yield
    finally:
        tempfile.tempdir = before


def _holds_sockets(folder: str) -> bool:
    return len(os.fsencode(folder)) + _BELOW <= LONGEST_SOCKET and os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder for files that matter to this process alone, and remove it at the end.

    Folders of the same prefix, whose processes were killed before they could remove them, are removed as well.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_if_left(left)
    folder, descriptor = _new_held_folder(prefix)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(descriptor)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder if no process holds it."""
    with suppress(OSError):
        descriptor = _descriptor_of(folder)
        try:
            if hold(descriptor):
                remove(folder)
        finally:
            os.close(descriptor)


def _new_held_folder(prefix: str) -> tuple[Path, int]:
    """Make a folder and hold it; return its file descriptor, too, by which this process lets it go."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
        with suppress(FileNotFoundError):  # another process saw it before it was held, and removed it
            descriptor = _descriptor_of(folder)
            hold(descriptor, wait=True)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _descriptor_of(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
