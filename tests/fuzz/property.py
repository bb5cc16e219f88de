"""What holds for every reader: a value or one sentence, soon, and nothing half-written."""

import contextlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

from kdbench.errors import KdbenchError, RecordError
from kdbench.records import read_record
from kdbench.records.storage import seal_record
from tests.time_limits import within_seconds

MOST_SECONDS = 20  # per input; most take less than a millisecond, but the machine may be busy
MOST_CHARACTERS = 2000  # of a message


@dataclass(frozen=True)
class Property:
    """What must hold for every input of a kind.

    Attributes:
        name: of the property.
        inputs: damaged or hostile ones, and some that are as they should be.
        holds: raises what breaks the property; else returns whether the input was accepted.
        heavy: whether an input takes much longer than those of other properties.
    """

    name: str
    inputs: SearchStrategy[Any]
    holds: Callable[[Any], bool]
    heavy: bool = False


@dataclass(frozen=True)
class Target:
    """A reader of one file.

    Attributes:
        name: of the target.
        folder: what the reader finds, but for the file; it is the target's alone.
        file: path of the file in the folder.
        damaged: contents of the file.
        read: reads the file, given the folder; None and an empty mapping say that the file is of no use.
        named: words one of which every message must hold, beside the file's name.
        after: checks and clears what reading has left in the folder, given whether it went well.
    """

    name: str
    folder: Path
    file: str
    damaged: SearchStrategy[bytes]
    read: Callable[[Path], object]
    named: tuple[str, ...] = ()
    after: Callable[[Path, bool], None] = field(default=lambda folder, read_well: None)

    def as_property(self) -> Property:
        """Return what must hold for the reader."""
        return Property(self.name, self.damaged, partial(check, self))


def check(target: Target, content: bytes) -> bool:
    """Let a target read a content; return whether it took it for good.

    Raises:
        AssertionError: its message is not one sentence that names the file, or it left something half-written.
        Exception: whatever else than a `KdbenchError` it raised.
    """
    path = target.folder / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    before = _files(target.folder)
    read_well = False
    with within_seconds(MOST_SECONDS):
        try:
            value = target.read(target.folder)
            read_well = value is not None and not (isinstance(value, Mapping) and not value)
        except KdbenchError as error:
            check_message(str(error), (path.name, *target.named))
    target.after(target.folder, read_well)
    assert _files(target.folder) == before
    return read_well


def seal_again(folder: Path) -> None:
    """Give a record, if it can be read as one, the digests of what it says, as a forger would."""
    with contextlib.suppress(RecordError):
        seal_record(folder, read_record(folder))


def check_message(message: str, names: tuple[str, ...]) -> None:
    """Assert that an error's message is one short line that can be shown on a terminal, and says where."""
    odd = sorted({c for c in message if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")})
    assert not odd, f"control characters {odd} in {message!r}"
    assert 0 < len(message) <= MOST_CHARACTERS, f"{len(message)} characters: {message[:200]!r}..."
    assert any(name in message for name in names), f"none of {names} in {message!r}"


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
