"""The errors that a user can fix, and descriptions of errors of other libraries for use in a sentence.

The command line prints a `KdbenchError` as one sentence, without a traceback.
"""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_LONGEST_VALUE = 60  # characters of a value that a message repeats
_LONGEST_MESSAGE = 1500  # characters; of a longer message, the beginning and the end are shown
_END_OF_MESSAGE = 400
Content = TypeVar("Content")
MOST_REASON = 500  # characters, of why a run failed
_UNSAFE = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # Unicode categories of characters that move the cursor, reorder text or cannot be encoded
_PERMIT = "let this user read it"
_REMEDIES = {
    errno.EMFILE: "raise the limit on open files (`ulimit -n`) and give the same command again",
    errno.ENFILE: "the system has too many open files; give the same command again later",
    errno.EACCES: _PERMIT,
    errno.EPERM: _PERMIT,
    errno.EIO: "its disk does not answer as it should; give the same command again once it does",
    errno.ESTALE: "its disk does not answer as it should; give the same command again once it does",
    errno.ETIMEDOUT: "its disk does not answer as it should; give the same command again once it does",
    errno.ENOMEM: "give the same command again when more memory is free",
}


class KdbenchError(Exception):
    """Base of every error whose message is written for the user.

    A message may repeat text from a damaged or hostile file. It is therefore reduced to one line of limited length,
    without control characters.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(_safe_to_show(message))


class InputError(KdbenchError):
    """An option, file or folder of the user is wrong. The message says what is wrong, where, and what is allowed."""

    exit_code = 2


class SpecError(InputError):
    """A file cannot be read as a spec of the benchmark."""


class DataError(InputError):
    """A data source or a built array is missing, has another layout, or does not have the right bytes."""


class SubmissionError(InputError):
    """The harness cannot run a method file, a method's config or a direction."""


class WriteError(InputError):
    """A file or folder cannot be written, for example because the disk is full. This is no failure of a run."""

    @classmethod
    def at(cls, path: Path, error: OSError) -> Self:
        """Return the error that says why the system could not write `path`, and what to do."""
        return cls(f"cannot write {path}: {error.strerror or error}; free space or choose another folder")


class RecordError(InputError):
    """A folder has no valid record, or a record that does not fit the spec or other records."""


def read_if_whole(read: Callable[[Path], Content], path: Path, faults: list[str]) -> Content | None:
    """Return what `read` returns for a path; where it cannot be read, add the reason to `faults` and return None."""
    try:
        return read(path)
    except InputError as error:
        faults.append(str(error))
        return None


def remedy(error: BaseException, if_damaged: str) -> str:
    """Return what to do about a file that cannot be read, as the end of a sentence.

    A file that the system could not open or read may be whole, so nobody is told to replace it.

    Args:
        error: of the reading.
        if_damaged: what to do if the content of the file is the reason.
    """
    number = error.errno if isinstance(error, OSError) else None
    return if_damaged if number is None else _REMEDIES.get(number, if_damaged)


def _safe_to_show(message: str) -> str:
    """Return a message with its unsafe characters escaped; a long message is shortened in the middle."""
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[: _LONGEST_MESSAGE - _END_OF_MESSAGE]} ... {message[-_END_OF_MESSAGE:]}"
    if message.isprintable():
        return message
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _UNSAFE else c for c in message)


def plain_text(text: str, most: int = MOST_REASON) -> str:
    """Return text on one line, without control characters, cut after `most` characters."""
    spaced = " ".join(text[: 4 * most].split())
    shown = "".join(character for character in spaced if not unicodedata.category(character).startswith("C"))
    return shown if len(shown) <= most else f"{shown[:most]}..."


def describe_error(error: BaseException) -> str:
    """Return an error of another library as part of a sentence: its type and its message on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def describe_invalid(error: ValidationError, model: type[BaseModel]) -> str:
    """Return as part of a sentence the problems that pydantic found in a file.

    The sentence describes one problem, with the key, the value and what is allowed there, and gives the number of the
    others. Unknown keys come first, since they often cause other problems.

    Args:
        error: of the validation.
        model: of the file or of each of its entries.
    """
    problems: list[Any] = list(error.errors())
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    more = len(problems) - 1
    return _describe_problem(first, model) + (f" (and {more} more problem{'s' * (more > 1)})" if more else "")


def _describe_problem(problem: Any, model: type[BaseModel]) -> str:
    """Return one of pydantic's `ErrorDetails` in words."""
    location: tuple[str | int, ...] = problem["loc"]
    key, value = ".".join(map(str, location)), _shortened(problem["input"])
    match problem["type"]:
        case "extra_forbidden":
            allowed = _keys_at(location[:-1], model)
            return f"unknown key {key} = {value}" + (f"; allowed there: {', '.join(allowed)}" if allowed else "")
        case "missing":
            return f"key {key} is missing"
        case "value_error":
            reason = problem["ctx"]["error"]
            return f"{key}: {reason}" if key else str(reason)
    reason = problem["msg"].replace("Input should", "it should")
    return f"key {key} has the value {value}: {reason}" if key else str(reason)


def _shortened(value: object) -> str:
    """Return the `repr` of a value, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _keys_at(location: tuple[str | int, ...], model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that are allowed at a location; none if several models are possible there.

    Parts of the location that are not fields are list positions or keys of a mapping, and are skipped.
    """
    models = [model]
    for part in location:
        field = models[0].model_fields.get(str(part))
        models = _models_in(field.annotation) if field else models
        if len(models) != 1:
            return ()
    return tuple(models[0].model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the pydantic models that a type annotation names, at any depth."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
