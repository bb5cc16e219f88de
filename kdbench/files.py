"""Writes files whole or not at all, and lists the errors by which a damaged array file shows itself."""

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

from kdbench.errors import WriteError

DAMAGES = (OSError, KeyError, ValueError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error)  # of an npz file


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `path` whole or not at all, flushed to the disk before it does.

    Raises:
        WriteError: the folder cannot be written or the disk is full; whatever lay at `path` is untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            yield file
            file.flush()
            os.fchmod(file.fileno(), _permissions())
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise WriteError.at(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _permissions() -> int:
    """What an ordinary new file would get; temporary files are readable by their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
