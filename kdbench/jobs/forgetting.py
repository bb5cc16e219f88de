"""Removes the records of a method from a results folder, never those of official runs."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import InputError, RecordError, WriteError
from kdbench.jobs.lock import sole_user
from kdbench.plan.current import write_current
from kdbench.records import read_record, require_records
from kdbench.records.groups import StoredRecord
from kdbench.records.official import official_folder, official_names
from kdbench.spec import INDEPENDENT, TEACHER, UNTRAINED, Spec

NEEDED = (TEACHER, UNTRAINED, INDEPENDENT)  # other rows are compared with these


@dataclass(frozen=True)
class Forgettable:
    """The records of a method in a results folder.

    Attributes:
        folders: of those that can be removed.
        official: number of those that stay because they are official ones.
    """

    folders: tuple[Path, ...]
    official: int


def forgettable(results: Path, method: str, code: str = "") -> Forgettable:
    """Return which records of a method can be removed.

    Args:
        results: the results folder.
        method: name of the method.
        code: beginning of the digest of its code; empty for all its code.

    Raises:
        InputError: the folder has no such records, it is that of the official ones, or other rows need the method.
    """
    if method in NEEDED:
        raise InputError(
            f"the records of {method} stay, because other rows are compared with them; name another method"
        )
    if results.resolve() == official_folder().resolve():
        raise InputError(f"{results} holds the official records, which stay; name another results folder")
    records = list(_readable(require_records(results)))
    chosen = [
        (folder.parent.name, folder.name, folder)
        for folder, record in records
        if record.method == method and record.digests.code.startswith(code)
    ]
    if not chosen:
        raise InputError(
            f"there are no records of {_words(method, code)} in {results}; {_what_is_there(records, method)}"
        )
    official = official_names()
    folders = tuple(folder for track, name, folder in chosen if (track, name) not in official)
    return Forgettable(folders, official=len(chosen) - len(folders))


def forget(folders: Sequence[Path], results: Path, spec: Spec) -> None:
    """Remove the folders of records, and decide anew which of the others are current.

    Args:
        folders: of the records.
        results: the results folder that they lie in. No run may be under way in it.
        spec: of the tracks.

    Raises:
        InputError: another command writes into the results folder.
        WriteError: a folder cannot be removed.
    """
    with sole_user(results):
        for folder in folders:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise WriteError(f"cannot remove {folder}: {error.strerror or error}; remove it by hand") from error
        write_current(results, spec)


def _readable(folders: Sequence[Path]) -> Iterator[StoredRecord]:
    for folder in folders:
        try:
            yield folder, read_record(folder)
        except RecordError:
            continue


def _words(method: str, code: str) -> str:
    return f"{method} with code {code}" if code else method


def _what_is_there(records: Sequence[StoredRecord], method: str) -> str:
    """Return which digests of code a method has records of, or which methods have any."""
    codes = sorted({record.digests.code[:12] for _, record in records if record.method == method})
    if codes:
        return f"its code there has the digests {', '.join(codes)}"
    return f"there are records of: {', '.join(sorted({record.method for _, record in records} - {*NEEDED})) or 'none'}"
