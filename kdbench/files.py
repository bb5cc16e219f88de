"""Writes files whole or not at all, and lists the errors by which a damaged array file shows itself."""

import errno
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile

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
"""What reading an npz or zip file may raise when it is cut short, altered, of another format or lacks a part."""

_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)

PROBE_BYTES = 2**20


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path` whole or not at all, flushed to the disk before it does.

    Raises:
        WriteError: the folder cannot be written or the disk is full; whatever lay at `path` is untouched.
    """
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x+b") as file:  # with the permissions that an ordinary new file gets
            yield file
            file.flush()
            _flush_to_disk(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise WriteError.at(path, error) from error
    finally:
        _remove(temporary)


def _flush_to_disk(descriptor: int) -> None:
    """Wait until a file's bytes are on the disk, where its file system can tell."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def _remove(temporary: Path) -> None:
    """Remove what an interrupted write left; its own error is the one to tell of."""
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return


def check_writable(folder: Path) -> None:
    """Raise WriteError if a small file cannot be written into a folder, whatever others say of the disk."""
    probe = folder / ".writable"
    with atomic_file(probe) as file:
        file.write(bytes(PROBE_BYTES))
    probe.unlink(missing_ok=True)
