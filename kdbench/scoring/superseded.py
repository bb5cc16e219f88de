"""Finds the records that are not scored because newer records supersede them, with the reasons.

The caller says which records are current (`kdbench.plan.current` decides this). If a row has current records, its other
records are superseded, and so are the students of a superseded teacher. Of a method that does not ship with kdbench,
the code of its latest record counts, and the records of all other code are superseded. If two runs of the same seed
remain, the one that was written later counts.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from kdbench.records import Record
from kdbench.records.current import Current
from kdbench.records.groups import RowKey, StoredRecord, row_key

OTHER_CODE = "the code of {} has changed"
OLDER_CODE = "{} has newer code than theirs, which has the digest {}..."
OTHER_HARNESS = "the harness has changed"
OTHER_TEACHER = "their teachers were trained again"
SAME_SEED = "there is a later run of the same seed"


def superseded_records(records: Sequence[StoredRecord], current: Current | None) -> dict[Path, str]:
    """Return the folders of the records that newer ones have superseded, each with the reason in words.

    Args:
        records: of one track, training digest, test sets and device class.
        current: which records are current, and which methods have shipped; None where all records are current and
            nothing is known of the methods.
    """
    reasons = {} if current is None else _outdated(records, current.folders)
    gone = {record.run_id for folder, record in records if folder in reasons}
    for folder, record in records:
        if record.teacher_run_id in gone:
            reasons.setdefault(folder, OTHER_TEACHER)
    reasons |= _of_older_code(_without(records, reasons), current.codes if current else {})
    return reasons | dict.fromkeys(_earlier_of_a_seed(_without(records, reasons)), SAME_SEED)


def _without(records: Iterable[StoredRecord], gone: Collection[Path]) -> list[StoredRecord]:
    return [(folder, record) for folder, record in records if folder not in gone]


def _outdated(records: Sequence[StoredRecord], current: Collection[str]) -> dict[Path, str]:
    """Return the records that are not current, of rows that have current ones, with what has changed."""
    current_codes: dict[RowKey, set[str]] = defaultdict(set)
    for folder, record in records:
        if folder.name in current:
            current_codes[row_key(record)].add(record.digests.code)
    return {
        folder: _what_has_changed(record, codes)
        for folder, record in records
        if folder.name not in current and (codes := current_codes.get(row_key(record)))
    }


def _what_has_changed(record: Record, current_codes: Collection[str]) -> str:
    """Return why a record is not current; for a teacher, which has no code of a method, the harness has changed."""
    if record.role == "teacher" or record.digests.code in current_codes:
        return OTHER_HARNESS
    return OTHER_CODE.format(record.method)


def _of_older_code(records: Iterable[StoredRecord], shipped: Collection[str]) -> dict[Path, str]:
    """Return the records of methods that do not ship whose code is not the newest, with its digest.

    Args:
        records: that remain.
        shipped: names of the methods that have shipped; empty where nothing is known of them.
    """
    by_method: dict[tuple[object, ...], list[StoredRecord]] = defaultdict(list)
    for folder, record in records if shipped else ():
        if record.role == "student" and record.method not in shipped:
            key = (record.method, record.family, record.question, record.official, record.control, record.compiled)
            by_method[key].append((folder, record))
    return {
        folder: OLDER_CODE.format(record.method, record.digests.code[:12])
        for stored in by_method.values()
        for folder, record in stored
        if record.digests.code != max(stored, key=_written)[1].digests.code
    }


def _earlier_of_a_seed(records: Iterable[StoredRecord]) -> list[Path]:
    """Return all but the last written of the runs of the same row, code, teacher bias and seed."""
    repeats: dict[tuple[object, ...], list[StoredRecord]] = defaultdict(list)
    for folder, record in records:
        key = (*row_key(record), record.digests.code, record.teacher_bias, record.seed)
        repeats[key].append((folder, record))
    return [folder for runs in repeats.values() for folder, _ in sorted(runs, key=_written)[:-1]]


def _written(stored: StoredRecord) -> tuple[str, str]:
    record = stored[1]
    return record.finished, record.run_id
