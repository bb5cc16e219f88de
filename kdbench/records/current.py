"""Reads `current.json` of a results folder: which of its records are current, and what code shipped when they ran.

`kdbench.plan.current` writes the file. Scores are handed what it says, so they depend on nothing but the results folder
and the spec.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kdbench.errors import RecordError, describe_invalid, read_if_whole, remedy
from kdbench.files import without_mark
from kdbench.records.storage import find_records
from kdbench.spec import FrozenModel

CURRENT = "current.json"
_WITHOUT = "until `kdbench run` writes it again, every record counts as current"


class CurrentRecords(FrozenModel):
    """The fields of `current.json`.

    Attributes:
        current: names of record folders (`RUN-TESTSETS`), sorted.
        outdated: likewise. A record that is in neither list came after the file was written, and counts as current.
        codes: digests of the code that shipped under a method's name whenever `kdbench run` wrote the file, sorted.
    """

    schema_version: Literal[1] = 1
    current: tuple[str, ...]
    outdated: tuple[str, ...]
    codes: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Current:
    """What some results folders say of their records.

    Attributes:
        folders: names of the record folders that are current.
        codes: digests of the code that has shipped under a method's name; a name without any is not a shipped one.
        faults: a sentence about each `current.json` that cannot be read, and is therefore not used.
    """

    folders: frozenset[str]
    codes: Mapping[str, frozenset[str]]
    faults: tuple[str, ...] = ()


def read_current(*results: Path) -> Current:
    """Return what `current.json` says of the records below some results folders.

    Every record of a folder without this file is current, and its code is not compared with anything. The same holds
    where the file cannot be read.
    """
    folders: set[str] = set()
    codes: dict[str, frozenset[str]] = defaultdict(frozenset)
    faults: list[str] = []
    for folder in results:
        lists = read_if_whole(read_lists, folder, faults)
        folders |= {path.name for path in find_records(folder)} - set(lists.outdated if lists else ())
        for method, digests in lists.codes.items() if lists else ():
            codes[method] |= set(digests)
    return Current(frozenset(folders), dict(codes), tuple(faults))


def read_lists(results: Path) -> CurrentRecords | None:
    """Return the `current.json` of one results folder; None if there is none.

    Raises:
        RecordError: it is damaged.
    """
    path = results / CURRENT
    if not path.exists():
        return None
    try:
        return CurrentRecords.model_validate_json(without_mark(path.read_bytes()))
    except OSError as error:
        reason = f"{error.strerror}; {remedy(error, _WITHOUT)}"
        raise RecordError(f"{path} cannot be read: {reason}") from error
    except ValidationError as error:
        reason = f"{describe_invalid(error, CurrentRecords)}; {_WITHOUT}"
        raise RecordError(f"{path} is not a list of current records: {reason}") from error
