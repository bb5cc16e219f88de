"""The errors that a user can mend. The command line prints them as one sentence, without a traceback."""

from pathlib import Path
from typing import Self


class KdbenchError(Exception):
    """Base of every error whose message is written for the user."""

    exit_code = 1


class InputError(KdbenchError):
    """Something the user gave is wrong: a flag, a file, a folder. The message says what, where and what is allowed."""

    exit_code = 2


class SpecError(InputError):
    """A spec file that cannot be read as the benchmark's spec."""


class DataError(InputError):
    """A data source or a built array that is missing, of another layout, or not the bytes it should be."""


class SubmissionError(InputError):
    """A method file, method config or direction that the harness cannot run."""


class WriteError(InputError):
    """A place that cannot be written: the disk is full, or the folder cannot be made. It is no result of any run."""

    @classmethod
    def at(cls, path: Path, error: OSError) -> Self:
        """What the system said when `path` was to be written, and what to do."""
        return cls(f"cannot write {path}: {error.strerror or error}; free space or choose another folder")


class RecordError(InputError):
    """A result folder that holds no valid record, or one that does not fit the spec or the others."""


def in_a_sentence(error: BaseException) -> str:
    """An error of code that is not ours as part of a sentence: its type and its message on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
