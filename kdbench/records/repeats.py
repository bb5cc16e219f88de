"""Compares the records that several results folders hold of one run, of which the first one counts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kdbench.errors import RecordError
from kdbench.records.groups import StoredRecord
from kdbench.records.schema import Record
from kdbench.records.storage import RESULT, find_records, read_record


def contradictions(results: Sequence[Path]) -> Iterator[tuple[StoredRecord, str]]:
    """Yield the records of runs that an earlier results folder has with other weights or accuracies, and a sentence.

    Times, machines and further answers may differ. A record that cannot be read contradicts nothing.

    Args:
        results: folders that hold `TRACK/RUN-TESTSETS/`.
    """
    counting = {(folder.parent.name, folder.name): folder for folder in find_records(*results)}
    for folder in (folder for root in results for folder in find_records(root)):
        first = counting[folder.parent.name, folder.name]
        if folder.absolute() == first.absolute():
            continue
        try:
            record, of_first = read_record(folder), read_record(first)
        except RecordError:
            continue
        if difference := _difference(record, of_first):
            yield (
                (folder, record),
                f"{first / RESULT} and {folder / RESULT} are records of one run with different {difference}; "
                "the first one counts",
            )


def _difference(record: Record, other: Record) -> str:
    """Return in words in what the outcomes of two records differ; empty if they agree."""
    if record.status != other.status:
        return f"outcomes, {other.status} and {record.status}"
    if record.digests.weights != other.digests.weights:
        return "weights"
    shared = record.test.keys() & other.test.keys()
    accuracies = [{name: each.test[name].macro_accuracy for name in shared} for each in (record, other)]
    return "accuracies" if accuracies[0] != accuracies[1] else ""
