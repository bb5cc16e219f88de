"""Decides which records are scored: those that are whole and fit the others. Each of the rest is refused by name.

A refused record never counts: newer records do not give way to it, and the students of a refused teacher are refused,
too. Everything is decided by the records, the spec, and what the caller says of the present code.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kdbench.errors import RecordError
from kdbench.records import Record, find_records, read_record
from kdbench.records.current import Current
from kdbench.records.groups import StoredRecord
from kdbench.records.integrity import check_fields, read_answers
from kdbench.records.repeats import contradictions
from kdbench.scoring.context import ScoredRun
from kdbench.scoring.measured import measure
from kdbench.scoring.questions import teacher_of
from kdbench.scoring.resampling import Resampler
from kdbench.scoring.scores import RefusedRecord
from kdbench.scoring.superseded import superseded_records
from kdbench.spec import Spec, Track

EARLIER_VERSIONS: Final = ("1.0.0rc1",)  # whose records cannot be compared with those of the present version


@dataclass(frozen=True)
class Admission:
    """What becomes of the records of one group.

    Attributes:
        runs: that are scored.
        superseded: folders of records that newer ones have superseded, with the reason.
        refused: folders of records that do not fit, with the reason.
    """

    runs: tuple[ScoredRun, ...]
    superseded: Mapping[Path, str]
    refused: Mapping[Path, str]


def readable_records(results: Iterable[Path], spec: Spec) -> tuple[list[StoredRecord], list[RefusedRecord]]:
    """Return the records below some folders whose fields fit, and those whose fields do not.

    Of the records of one run, the first counts.
    """
    records: list[StoredRecord] = []
    refused: list[RefusedRecord] = []
    for folder in find_records(*results):
        try:
            record = read_record(folder)
        except RecordError as error:
            refused.append(refusal(folder, None, str(error)))
            continue
        problems = [*_earlier_version(record, spec)] or [*check_fields(folder, record), *_unknown_track(record, spec)]
        if problems:
            refused.append(refusal(folder, record, "; ".join(problems)))
        else:
            records.append((folder, record))
    return records, refused


def contradicting_records(results: Sequence[Path]) -> Iterator[RefusedRecord]:
    """Yield the records that do not count because an earlier folder has another record of the run."""
    for (folder, record), reason in contradictions(results):
        yield RefusedRecord(track=folder.parent.name, record=folder.name, run=_title(record), reason=reason)


def _earlier_version(record: Record, spec: Spec) -> Iterator[str]:
    version = record.environment.kdbench
    if version in EARLIER_VERSIONS:
        yield (
            f"it was made with version {version} of the benchmark, and version {spec.version} measures other questions "
            "with other networks and test sets; run it again, or score it with the release of its version"
        )


def _unknown_track(record: Record, spec: Spec) -> Iterator[str]:
    if record.track not in spec.tracks:
        yield f"it is of the track {record.track!r}; this spec has: {', '.join(spec.tracks)}"


def refusal(folder: Path, record: Record | None, reason: str) -> RefusedRecord:
    """Return what `scores.json` says of a record that is refused; folders are named without their place."""
    return RefusedRecord(
        track=folder.parent.name,
        record=folder.name,
        run=_title(record) if record else "",
        reason=reason.replace(f"{folder}", folder.name),
    )


def _title(record: Record) -> str:
    bias = f", {record.teacher_bias} teacher" if record.teacher_bias and record.direction else ""
    return f"{record.method} {record.direction or record.family}{bias}, seed {record.seed}"


def admit(
    records: Sequence[StoredRecord],
    track: Track,
    resampler: Resampler,
    *,
    current: Current | None,
) -> Admission:
    """Read and measure what is to be scored of one group, and refuse what does not fit.

    Args:
        records: of one track, training digest, test sets and device class.
        track: of the spec.
        resampler: of the group.
        current: which records are current, and what code has shipped; None where all are and nothing is known.
    """
    reader, refused = _Reader(track, resampler), dict[Path, str]()
    while True:
        remaining = [stored for stored in records if stored[0] not in refused]
        superseded = superseded_records(remaining, current)
        scored = [stored for stored in remaining if stored[0] not in superseded]
        reasons = {
            **reader.unreadable(scored),
            **_equal_answers(scored, reader),
            **_unknown_codes(scored, current.codes if current else {}),
            **_without_teacher(scored, remaining, refused),
        }
        if not reasons:
            return Admission(tuple(reader.runs[folder] for folder, _ in scored), superseded, refused)
        refused |= reasons


@dataclass(frozen=True)
class _Reader:
    """Reads and measures the answers of runs, each once.

    Attributes:
        runs: that were measured, by folder.
        fingerprints: of their answers, by folder; a failed run has none.
        problems: why others could not be read, by folder.
    """

    track: Track
    resampler: Resampler
    runs: dict[Path, ScoredRun] = field(default_factory=dict)
    fingerprints: dict[Path, str] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)

    def unreadable(self, records: Iterable[StoredRecord]) -> dict[Path, str]:
        """Return why the answers of some records cannot be scored, after reading those that were not read before."""
        for folder, record in records:
            if folder not in self.runs and folder not in self.problems:
                try:
                    self.runs[folder] = self._run(folder, record)
                except RecordError as error:
                    self.problems[folder] = str(error)
        return {folder: self.problems[folder] for folder, _ in records if folder in self.problems}

    def _run(self, folder: Path, record: Record) -> ScoredRun:
        if record.status != "ok":
            return ScoredRun(folder, record, None)
        answers = read_answers(folder, record)
        self.fingerprints[folder] = answers.fingerprint
        end, *snapshots = (
            measure(predictions, self.track, self.resampler) for predictions in (answers.end, *answers.snapshots)
        )
        return ScoredRun(folder, record, end, tuple(snapshots))


def _equal_answers(records: Iterable[StoredRecord], reader: _Reader) -> dict[Path, str]:
    """Return the runs with answers that no second training can give: equal ones of two seeds or of two networks."""
    by_answers: dict[str, list[StoredRecord]] = defaultdict(list)
    for folder, record in records:
        if folder in reader.fingerprints:
            by_answers[reader.fingerprints[folder]].append((folder, record))
    return {
        folder: f"its answers are also those of {other.name}; {_how_they_differ(record, of_other)}"
        for alike in by_answers.values()
        for folder, record in alike
        for other, of_other in alike
        if _how_they_differ(record, of_other)
    }


def _how_they_differ(record: Record, other: Record) -> str:
    """Return why two runs with equal answers cannot both be right, in words; empty if they can."""
    kinds = [(each.method, each.family, each.direction, each.teacher_bias) for each in (record, other)]
    if kinds[0] == kinds[1] and record.seed != other.seed:
        return f"the seeds are {record.seed} and {other.seed}"
    if record.family == other.family and record.digests.weights != other.digests.weights:
        return "the weights differ"
    return ""


def _unknown_codes(records: Iterable[StoredRecord], codes: Mapping[str, Collection[str]]) -> dict[Path, str]:
    """Return the official runs that have the name of a shipped method, and code that has not shipped under it."""
    return {
        folder: f"no {record.method} that shipped has the digest of its code, {record.digests.code[:12]}..."
        for folder, record in records
        if record.official and record.method in codes and record.digests.code not in codes[record.method]
    }


def _without_teacher(
    records: Iterable[StoredRecord], remaining: Iterable[StoredRecord], refused: Mapping[Path, str]
) -> dict[Path, str]:
    """Return the students whose teacher has no record, or is not the one that they name."""
    teachers = {record.run_id: record for _, record in remaining if record.role == "teacher"}
    gone = {folder.name.partition("-")[0] for folder in refused}
    problems = {}
    for folder, record in records:
        name = record.teacher_run_id
        if name is None or record.direction is None:
            continue
        teacher = teachers.get(name)
        if teacher is None:
            problems[folder] = f"its teacher {name} {'was refused' if name in gone else 'has no record'}"
        elif _as_teacher(teacher) != (teacher_of(record), record.dose, record.seed):
            dose = "" if teacher.dose is None else f" of dose {teacher.dose:g}"
            problems[folder] = f"its teacher {name} is {_title(teacher)}, {teacher.teacher_bias}{dose}"
    return problems


def _as_teacher(record: Record) -> tuple[object, ...]:
    return teacher_of(record), record.dose, record.seed
