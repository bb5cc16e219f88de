"""Writes files completely or not at all, and lists the errors that reading a damaged array file may raise."""

import codecs
import errno
import fcntl
import glob
import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

from kdbench.errors import WriteError

DAMAGES = (
    *(
        OSError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        ArithmeticError,
        MemoryError,
    ),
    *(BadZipFile, zlib.error, LZMAError, struct.error, SyntaxError, TokenError),
)
"""The errors that reading an npz or zip file may raise if it is truncated, altered, incomplete or another format."""

_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)

PROBE_BYTES = 2**20
PIECE_BYTES = 2**20  # that are copied at a time
_RANDOM_BYTES = 4  # in the name of a file that is being written


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` only when it is complete and flushed to the disk.

    Files that killed writes to the same path left are removed.

    Raises:
        WriteError: the folder cannot be written or the disk is full; an existing file at `path` does not change.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(path)
        with _new_file_beside(path) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            _flush_to_disk(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise WriteError.at(path, error) from error
    finally:
        if temporary is not None:
            _remove(temporary)


def _new_file_beside(path: Path) -> IO[bytes]:
    """Open a new file that is locked until it is closed, by which others see that it is still written."""
    while True:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(_RANDOM_BYTES)}"
        file = temporary.open("x+b")  # with the permissions that an ordinary new file gets
        hold(file.fileno(), wait=True)
        if temporary.exists():
            return file
        file.close()  # another process saw it before it was locked, and removed it


def _remove_unfinished(path: Path) -> None:
    """Remove the files beside `path` that nobody will finish, since their writers have ended."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 2 * _RANDOM_BYTES}"):
        with suppress(OSError), temporary.open("rb") as file:
            if hold(file.fileno()):
                temporary.unlink()


def hold(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed, or until this process ends.

    Args:
        descriptor: of the open file or folder.
        wait: until another process that holds it lets it go.

    Returns:
        Whether it is locked: no other process holds it, and its file system has locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _flush_to_disk(descriptor: int) -> None:
    """Wait until a file's bytes are on the disk, if the file system supports this."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def without_mark(content: bytes) -> bytes:
    """Return the bytes of a text file without the byte order mark that some editors put first."""
    return content.removeprefix(codecs.BOM_UTF8)


def _remove(temporary: Path) -> None:
    """Remove the temporary file of an interrupted write; an error here must not hide that of the write."""
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return


def unpack(archive: ZipFile, member: ZipInfo, target: Path) -> str:
    """Write a member of an archive into a new file, piece by piece, and return its SHA-256.

    `zipfile` reads no more bytes than the member declares, and checks that there are as many.

    Raises:
        *DAMAGES: the member is damaged, or the file cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as file:
        return copy(source, file)


def copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy an open file into another piece by piece, and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while piece := source.read(PIECE_BYTES):
        digest.update(piece)
        target.write(piece)
    return digest.hexdigest()


def state_of_files(files: Iterable[Path]) -> str:
    """Return a digest of what the file system knows about files, which is another one after each change of them.

    A program can set the time of a file's last change of content, but not that of the last change of its inode.

    Raises:
        OSError: a file does not exist.
    """
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        known = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        digest.update(f"{path.absolute()} {known}\n".encode())
    return digest.hexdigest()


def check_unpacked_size(archive: ZipFile | None, most: int) -> None:
    """Raise ValueError for an archive whose members would take more memory than `most` bytes."""
    size = sum(member.file_size for member in archive.infolist()) if archive else 0
    if size > most:
        raise ValueError(f"its arrays take {size} bytes; allowed: at most {most}")


def check_writable(folder: Path) -> None:
    """Raise WriteError if a file of one mebibyte cannot be written into a folder."""
    probe = folder / ".writable"
    with atomic_file(probe) as file:
        file.write(bytes(PROBE_BYTES))
    probe.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which is read piece by piece; OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
