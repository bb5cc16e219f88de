"""Keeps a results folder for one command at a time."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.errors import InputError

LOCK = ".lock"
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_log = logging.getLogger(__name__)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Make a results folder and hold it: two commands in one folder would train the same runs over each other.

    Where the file system has no locks, a warning says so and the command goes on.

    Raises:
        InputError: the folder cannot be written, or another process holds it.
    """
    descriptor = _opened(folder)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    """Make a results folder and open its lock file; InputError if the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"results folder {folder} cannot be written: {error.strerror}; choose another one") from error


def _lock(descriptor: int, folder: Path) -> None:
    """Lock the open lock file of a results folder until it is closed; InputError if another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another kdbench run is writing to {folder}; wait until it ends, or choose another folder"
        ) from error
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise InputError(
                f"results folder {folder} cannot be locked: {error.strerror}; choose another one"
            ) from error
        _log.warning("the file system of %s has no locks; do not start a second kdbench run that writes there", folder)
