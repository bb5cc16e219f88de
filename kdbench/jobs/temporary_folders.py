"""Temporary folders that do not outlive the command that made them for long, however it ended."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdbench.files import hold
from kdbench.jobs.hostile_files import remove


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
