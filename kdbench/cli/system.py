"""What lies between the command line and the system: standard streams, home directories, refusals of the system."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, remedy
from kdbench.resources import CACHE_VARIABLE, cache_folder

_OF_THE_USER = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP),
}
"""The errors by which the system says that a place is not as a command needs it; others are errors of this program."""


class OutputError(OSError):
    """What a command prints cannot be written to standard output."""


class _Output(io.FileIO):
    """Standard output, whose errors are told from those of other files by their type."""

    def write(self, content: Any) -> Any:
        try:
            return super().write(content)
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from error


def open_standard_streams() -> None:
    """Open those of the three standard streams that the shell has closed, before another file takes their place.

    The standard output that is there raises `OutputError` from now on.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number, which is this one
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115
    output = sys.__stdout__
    if output is not None and sys.stdout is output:
        raw = io.BufferedWriter(_Output(output.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, output.encoding, output.errors, line_buffering=output.line_buffering)


def silence_output() -> None:
    """Let what is still to be printed go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def with_home(argument: str) -> str:
    """Return an argument with the user's home directory, which a shell leaves as `~` in `--out=~/runs`."""
    option, sign, value = argument.partition("=")
    if argument.startswith("--") and sign:
        return f"{option}={below_home(value)}"
    return below_home(argument)


def below_home(path: str) -> str:
    """Return a path with a user's home directory in place of `~` or `~name`; InputError if there is none."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise InputError(
            f"{path} cannot be found, because that user has no home directory; write the path whole"
        ) from error


def sentence_of(error: OSError) -> str | None:
    """Return a sentence about what the system refused, with what to do; None for an error of this program."""
    if error.errno not in _OF_THE_USER:
        return None
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    elsewhere = "choose another place"
    with suppress(InputError):
        if place is not None and place.is_relative_to(cache_folder()):
            elsewhere = f"set the environment variable {CACHE_VARIABLE} to another folder"
    forbidden = error.errno in (errno.EACCES, errno.EPERM)
    advice = f"let this user read and write there, or {elsewhere}" if forbidden else remedy(error, elsewhere)
    return f"{place or 'the system refuses a file'}: {error.strerror}; {advice}"
