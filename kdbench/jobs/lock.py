"""Keeps a results folder for one command at a time."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kdbench.errors import InputError

LOCK = ".lock"
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
_log = logging.getLogger(__name__)


@contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """Make a results folder and hold it: two commands in one folder would train the same runs over each other.

    Where the file system has no locks, a warning says so and the command goes on.

    Raises:
        InputError: the folder cannot be written, or another process holds it.
    """
    lock = FileLock(folder / LOCK, timeout=0, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another kdbench run is writing to {folder}; wait until it ends, or choose another folder"
        ) from error
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise InputError(
                f"results folder {folder} cannot be written: {error.strerror}; choose another one"
            ) from error
        _log.warning("the file system of %s has no locks; do not start a second kdbench run that writes there", folder)
    try:
        yield
    finally:
        lock.release()
