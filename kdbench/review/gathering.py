"""Gathers the records of a submission: those of the method, and of the teachers and independents of the same seeds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kdbench.errors import read_if_whole
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun, Submission
from kdbench.plan.questions import posed_by
from kdbench.plan.submissions import teacher_submission
from kdbench.records import Record, find_records, read_record, record_folder
from kdbench.records.groups import StoredRecord
from kdbench.records.integrity import check_record
from kdbench.spec import Track

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Gathered:
    """The runs of a submission and their records.

    Attributes:
        method: that is submitted.
        track: of the runs.
        device: "cpu" or "cuda".
        seeds: for which the method has records, sorted.
        planned: all runs of these seeds that a board needs, for every question of the track: teachers, independents and
            students of the method.
        records: of planned runs, those that are whole.
        missing: planned runs without a record.
        faults: a sentence about each record of a planned run that is not whole.
        left_out: number of records of the method that do not belong to its row, by the reason.
    """

    method: Submission
    track: Track
    device: Device = "cpu"
    seeds: tuple[int, ...] = ()
    planned: tuple[PlannedRun, ...] = ()
    records: tuple[StoredRecord, ...] = ()
    missing: tuple[PlannedRun, ...] = ()
    faults: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def students(self) -> tuple[Record, ...]:
        """The records of the method itself."""
        return tuple(record for _, record in self.records if record.method == self.method.name)


def gather(results: Path, submissions: Sequence[Submission], track: Track) -> Gathered:
    """Gather the records of a submission.

    Args:
        results: the results folder.
        submissions: `independent`, and then the method with its default settings.
        track: of the runs, without overrides.
    """
    method = submissions[-1]
    records = (read_if_whole(read_record, folder, []) for folder in find_records(results))
    own = [record for record in records if record and record.method == method.name and record.track == track.name]
    kinds = Counter(_kind(record) for record in own if not _obstacle(record, method, track))
    kind: tuple[Device, bool] = kinds.most_common(1)[0][0] if kinds else ("cpu", False)
    reasons = [_obstacle(record, method, track) or _other_kind(record, kind) for record in own]
    seeds = sorted({record.seed for record, reason in zip(own, reasons, strict=True) if not reason})
    planned = _planned(submissions, track, seeds, *kind)
    left_out = Counter(filter(None, reasons))
    return Gathered(method, track, kind[0], tuple(seeds), planned, *_stored(results, planned), left_out)


def _kind(record: Record) -> tuple[Device, bool]:
    """Return the device of a run, and whether its networks were compiled: runs that differ in these have other rows."""
    return "cuda" if record.environment.device_class.startswith("cuda") else "cpu", record.compiled


def _obstacle(record: Record, method: Submission, track: Track) -> str:
    """Return why a record does not belong to the row that is submitted, as the end of a sentence; empty if it does."""
    if record.digests.code != method.code:
        return f"made by other code, with the digest {record.digests.code[:12]}..."
    if record.unofficial:
        return f"unofficial: {', '.join(record.unofficial)}"
    if (record.digests.training, record.digests.testsets) != (track.training_digest, track.testsets_digest):
        return "made with another spec"
    if record.numerics != NUMERICS_VERSION:
        return f"made by a harness of numerics version {record.numerics}, and this one has {NUMERICS_VERSION}"
    return "" if record.config == dict(method.config) else "made with other settings than the method's defaults"


def _other_kind(record: Record, kind: tuple[Device, bool]) -> str:
    device, compiled = _kind(record)
    return "" if (device, compiled) == kind else f"of another row: {device}{', compiled' if compiled else ''}"


def _planned(
    submissions: Sequence[Submission], track: Track, seeds: Sequence[int], device: str, compiled: bool
) -> tuple[PlannedRun, ...]:
    directions = [direction for direction in track.directions if submissions[-1].trains(direction)]
    return tuple(
        expand(
            Request(
                track=track,
                questions=posed_by(track),
                submissions=submissions,
                teacher_submission=teacher_submission(),
                directions=directions,
                seeds=seeds,
                device=device,
                compiled=compiled,
            )
        )
    )


def _stored(
    results: Path, planned: Sequence[PlannedRun]
) -> tuple[tuple[StoredRecord, ...], tuple[PlannedRun, ...], tuple[str, ...]]:
    """Return the whole records of some runs, the runs that have none, and what is wrong with the other records."""
    stored, missing, faults = list[StoredRecord](), list[PlannedRun](), list[str]()
    for run in planned:
        folder = record_folder(results, run.track.name, run.run_id, run.track.testsets_digest)
        if not folder.exists():
            missing.append(run)
        elif problems := check_record(folder):
            faults.append(f"{run.title}: {problems[0]}")
        else:
            stored.append((folder, read_record(folder)))
    return tuple(stored), tuple(missing), tuple(faults)
