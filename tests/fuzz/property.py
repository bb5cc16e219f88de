"""What holds for every reader: a value or one sentence, soon, and nothing half-written."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis.strategies import SearchStrategy

from kdbench.errors import KdbenchError
from tests.time_limits import within_seconds

MOST_SECONDS = 20  # per input; most take less than a millisecond, but the machine may be busy
MOST_CHARACTERS = 2000  # of a message


@dataclass(frozen=True)
class Target:
    """A reader of one file.

    Attributes:
        name: of the target.
        folder: what the reader finds, but for the file; it is the target's alone.
        file: path of the file in the folder.
        damaged: contents of the file.
        read: reads the file, given the folder.
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
    read_well = True
    with within_seconds(MOST_SECONDS):
        try:
            target.read(target.folder)
        except KdbenchError as error:
            read_well = False
            check_message(str(error), (path.name, *target.named))
    target.after(target.folder, read_well)
    assert _files(target.folder) == before
    return read_well


def check_message(message: str, names: tuple[str, ...]) -> None:
    """Assert that an error's message is one short line that can be shown on a terminal, and says where."""
    odd = sorted({c for c in message if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")})
    assert not odd, f"control characters {odd} in {message!r}"
    assert 0 < len(message) <= MOST_CHARACTERS, f"{len(message)} characters: {message[:200]!r}..."
    assert any(name in message for name in names), f"none of {names} in {message!r}"


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
