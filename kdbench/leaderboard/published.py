"""The tables of the paper that this benchmark follows, shown as they were printed."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from kdbench.errors import InputError, describe_invalid
from kdbench.leaderboard import wording
from kdbench.resources import shipped
from kdbench.spec import Direction, FrozenModel

PAPER_TRACK = "cifar10-224"
_SECONDS_PER_EPOCH = "seconds per epoch"  # a quantity that a table may hold
_SUBMISSIONS = {"Logit Matching": "lm"}  # where the paper's name is not the submission's in capitals


class PublishedRow(FrozenModel):
    """A row of a table; values are kept as text, so that no digit is added or lost."""

    method: str
    values: tuple[str, ...]


class PublishedTable(FrozenModel):
    """One table of a publication."""

    source: str
    table: int
    title: str
    direction: Direction
    columns: tuple[str, ...]
    quantity: str
    remark: str = ""
    rows: tuple[PublishedRow, ...]

    @model_validator(mode="after")
    def _rows_are_complete(self) -> Self:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(f"row {row.method}: {len(row.values)} values for {len(self.columns)} columns")
        return self

    @property
    def direction_words(self) -> str:
        """The direction for people: `CNN → ViT`."""
        return wording.direction_words(self.direction)


def read_published(folder: Path | None = None) -> tuple[PublishedTable, ...]:
    """Return the tables in a folder of TOML files, by number; without a folder, the shipped ones.

    Raises:
        InputError: a file is not TOML, or not a table of this schema.
    """
    folder = folder or shipped("leaderboard", "published")
    return tuple(sorted((_read(path) for path in folder.glob("*.toml")), key=lambda table: (table.source, table.table)))


def published_seconds(tables: Sequence[PublishedTable], direction: Direction) -> dict[str, str]:
    """Return the seconds per epoch that were printed for a direction, by submission."""
    return {
        _SUBMISSIONS.get(row.method, row.method.lower()): row.values[0]
        for table in tables
        if (table.quantity, table.direction) == (_SECONDS_PER_EPOCH, direction)
        for row in table.rows
    }


def _read(path: Path) -> PublishedTable:
    try:
        return PublishedTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        reason = describe_invalid(error, PublishedTable)
        raise InputError(f"published table {path}: {reason}; restore the shipped file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"published table {path} cannot be read: {error}") from error
