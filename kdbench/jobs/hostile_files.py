"""Reads files and texts that a process left which ran the code of a method, as if an adversary had left them."""

import contextlib
import os
import stat
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class Refused(Exception):
    """Something that a process left cannot be used; the message says what, in words that the harness chose."""


def read_regular_file(path: Path, most: int, left_by: str = "the training") -> bytes | None:
    """Return the bytes of a file, None if there is none.

    Args:
        path: of the file.
        most: bytes that it may have.
        left_by: the process that left it, in words.

    Raises:
        Refused: as `regular_file` does.
    """
    with regular_file(path, most, left_by) as file:
        return None if file is None else file.read(most)


@contextlib.contextmanager
def regular_file(path: Path, most: int, left_by: str = "the training") -> Iterator[IO[bytes] | None]:
    """Open a file for reading; None if there is none. The arguments are those of `read_regular_file`.

    Raises:
        Refused: it is not a regular file with one name, it is larger than `most` bytes, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise Refused(f"{left_by} left {path.name}, which cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise Refused(f"{left_by} left {path.name}, which is not a file of its own")
        if status.st_size > most:
            raise Refused(f"{left_by} left {path.name} with {status.st_size} bytes; allowed: at most {most}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def read_part(descriptor: int, start: int, size: int) -> bytes:
    """Return the bytes of a regular file from `start` on, `size` at most."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(start)
        return file.read(size)


def plain_line(line: str) -> str:
    """Return a line without control characters but tabs."""
    return "".join(c for c in line if c == "\t" or not unicodedata.category(c).startswith("C"))


def remove(folder: Path) -> None:
    """Remove a folder, however deep it is and whatever lies in it; links are not followed."""
    command = ("rm", "-rf", "--", str(folder))
    subprocess.run(command, check=False, capture_output=True)
    if folder.is_dir() and not folder.is_symlink():  # it holds folders that only root can empty
        _open_folders(folder)
        subprocess.run(command, check=False, capture_output=True)


def _open_folders(folder: Path) -> None:
    """Let the owner of the folders below a folder read and change them."""
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(OSError):
            Path(place).chmod(stat.S_IRWXU)
            with os.scandir(place) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
