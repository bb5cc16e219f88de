"""Checks that a record is whole: its fields fit each other, its folder, and the files that lie beside it.

What this finds is damage, and changes that were made by hand. Whoever makes up a record and its digests together is
found out by `kdbench verify`, which computes the answers again.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kdbench.errors import RecordError
from kdbench.files import file_sha256
from kdbench.records.identity import identity_of
from kdbench.records.schema import Predictions, Record, SetResult
from kdbench.records.storage import (
    LOG,
    PREDICTIONS,
    RESULT,
    SNAPSHOTS,
    SOURCE,
    WEIGHTS,
    changed_since,
    read_predictions,
    read_record,
    read_snapshots,
    record_digest,
    record_folder,
    run_again,
)
from kdbench.records.summary import summarise
from kdbench.spec import OPEN_DIVISION, families

_ACCURACY_TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class RunAnswers:
    """All that a run answered.

    Attributes:
        end: at the end of the training.
        snapshots: along the training, of a control that keeps them.
    """

    end: Predictions
    snapshots: tuple[Predictions, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the classes and probabilities at the end, which no two trainings share."""
        content = hashlib.sha256()
        for name, answers in sorted(self.end.items()):
            content.update(name.encode())
            for array in (answers.label, answers.confidence, answers.nll, answers.brier):
                content.update(array.tobytes())
        return content.hexdigest()


def check_record(folder: Path) -> list[str]:
    """Return what does not fit in a record and in the files beside it: a part of a sentence for each problem.

    Args:
        folder: `RESULTS/TRACK/RUN-TESTSETS`.
    """
    try:
        record = read_record(folder)
    except RecordError as error:
        return [str(error)]
    problems = check_fields(folder, record)
    try:
        read_answers(folder, record)
    except RecordError as error:
        problems.append(str(error))
    return problems + [problem for name in (WEIGHTS, LOG, SOURCE) for problem in _check_file(folder / name, record)]


def _check_file(path: Path, record: Record) -> Iterator[str]:
    """Yield whether a file that may be deleted has been changed."""
    expected = record.digests.files.get(path.name)
    if expected is None or not path.exists():
        return
    if not path.is_file():
        yield f"{path.name} is not a regular file"
    elif (actual := file_sha256(path)) != expected:
        yield changed_since(path, actual, expected)


def check_fields(folder: Path, record: Record) -> list[str]:
    """Return what does not fit in the fields of a record and in the name of its folder, in words."""
    return [*_check_digests(record), *_check_place(folder, record), *_check_kind(record)]


def _check_digests(record: Record) -> Iterator[str]:
    if record.digests.record != record_digest(record):
        yield f"{RESULT} was changed after it was written: its digest is not that of its fields"
    needed = {PREDICTIONS: record.status == "ok", SNAPSHOTS: bool(record.snapshots)}
    for name in (name for name, needs in needed.items() if needs and name not in record.digests.files):
        yield f"{RESULT} has no digest of {name}"


def _check_place(folder: Path, record: Record) -> Iterator[str]:
    expected = identity_of(record).run_id
    if record.run_id != expected:
        yield f"the run id {record.run_id} is not that of its fields, which is {expected}"
    own = record_folder(Path(), record.track, record.run_id, record.digests.testsets)
    place = Path(folder.parent.name, folder.name)
    if place != own:
        yield f"it lies in {place}, but a record with its fields belongs into {own}"
    if folder.is_symlink():
        yield "its folder is a link to another"


def _check_kind(record: Record) -> Iterator[str]:
    if record.control != (record.control_terms is not None):
        yield f"control is {record.control}, and control_terms is {record.control_terms}"
    if record.limit_train is not None and record.official:
        yield f"it is called official, but its training set was limited to {record.limit_train} images"
    if record.pair is not None and record.official:
        yield f"it is called official, but it is of the {OPEN_DIVISION}"
    if (record.role == "teacher") != (record.direction is None):
        yield f"its role is {record.role}, and its direction is {record.direction}"
    if record.direction and record.family != families(record.direction).student:
        yield f"its family is {record.family}, and its direction is {record.direction}"
    if record.dose is not None and record.question != "planted":
        yield f"its dose is {record.dose}, and its teacher_bias is {record.teacher_bias}"
    if (record.status == "ok") != bool(record.test):
        yield f"its status is {record.status}, and it has the results of {len(record.test)} test sets"


def read_answers(folder: Path, record: Record) -> RunAnswers:
    """Return the answers of a run, which are those that its record was written with and sums up.

    Raises:
        RecordError: they are missing, damaged or changed, or the record sums up others.
    """
    if record.status != "ok":
        return RunAnswers({})
    end = read_predictions(folder, record)
    snapshots = read_snapshots(folder, record, end) if record.snapshots else ()
    _compare(folder / PREDICTIONS, record.test, summarise(end))
    if len(snapshots) != len(record.snapshots):
        raise RecordError(
            f"{folder / SNAPSHOTS} has {len(snapshots)} snapshots, the record {len(record.snapshots)}; "
            f"{run_again(folder)}"
        )
    for kept, answers in zip(record.snapshots, snapshots, strict=True):
        _compare(folder / SNAPSHOTS, kept.test, summarise(answers))
    return RunAnswers(end, snapshots)


def _compare(path: Path, recorded: Mapping[str, SetResult], computed: Mapping[str, SetResult]) -> None:
    """Raise RecordError if the results of a record are not those of the answers in a file."""
    if recorded.keys() != computed.keys():
        differing = sorted(recorded.keys() ^ computed.keys())
        raise RecordError(f"{path} and the record have other test sets: {', '.join(differing)} is in one of them alone")
    for name, result in recorded.items():
        if abs(result.macro_accuracy - computed[name].macro_accuracy) > _ACCURACY_TOLERANCE:
            raise RecordError(
                f"the record says that the macro accuracy on {name} is {result.macro_accuracy:.4f}, but by "
                f"{path.name} it is {computed[name].macro_accuracy:.4f}; {run_again(path.parent)}"
            )
