"""Which records may be compared, and which of them make one row of a board."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kdbench.records.schema import Record
from kdbench.spec import OpenPair, Question

StoredRecord = tuple[Path, Record]  # the folder of a record, and the record
RowKey = tuple[str, str, str | None, Question | None, str, bool, bool, bool]


@dataclass(frozen=True, order=True)
class RecordGroup:
    """What records must share to be compared."""

    track: str
    training: str
    testsets: str
    device_class: str
    networks: str = ""  # of the open division, as JSON; empty for the track's own

    @classmethod
    def of(cls, record: Record) -> "RecordGroup":
        """Return the group that a record belongs to."""
        digests, networks = record.digests, record.pair.model_dump_json() if record.pair else ""
        return cls(record.track, digests.training, digests.testsets, record.environment.device_class, networks)

    @property
    def pair(self) -> OpenPair | None:
        """The networks of the open division that its runs trained; None for those of the track."""
        return OpenPair.model_validate_json(self.networks) if self.networks else None


def group_records(records: Iterable[StoredRecord]) -> dict[RecordGroup, list[StoredRecord]]:
    """Sort records into groups of comparable ones, in the order given."""
    groups: dict[RecordGroup, list[StoredRecord]] = {}
    for folder, record in records:
        groups.setdefault(RecordGroup.of(record), []).append((folder, record))
    return groups


def row_key(record: Record) -> RowKey:
    """Return what the records of one row share within a group, whatever code they were made by."""
    config = json.dumps(record.config, sort_keys=True)
    return (
        record.method,
        record.family,
        record.direction,
        record.question,
        config,
        record.official,
        record.control,
        record.compiled,
    )
