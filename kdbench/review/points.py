"""What a reviewer checks of a submission, point by point. A note is something to know, and no reason to refuse."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.checks.report import CheckReport
from kdbench.records import Record, find_records, read_record
from kdbench.records.groups import StoredRecord
from kdbench.records.verification import read_verification
from kdbench.review.gathering import Gathered
from kdbench.scoring.scores import Scores
from kdbench.spec import Spec, within_family

Judgement = Literal["passed", "note", "failed"]


@dataclass(frozen=True)
class ReviewPoint:
    """A claim about a submission, and whether it holds.

    Attributes:
        seen: as a sentence without a full stop.
        remedy: what to do if the claim does not hold.
    """

    claim: str
    judgement: Judgement = "passed"
    seen: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Stated:
    """What the author states of a submission; each may be empty."""

    authors: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""


def points_of(
    gathered: Gathered, report: CheckReport, stated: Stated, official: Path, spec: Spec, command: str
) -> Iterator[ReviewPoint]:
    """Yield all points that can be judged before the records are copied and scored.

    Args:
        gathered: the records.
        report: of the checks of the method file.
        stated: by the author.
        official: results folder of the official records.
        spec: of the benchmark.
        command: that makes the runs which are missing, for the seeds of `gathered`.
    """
    yield _file_point(report)
    yield _records_point(gathered, command)
    if not gathered.seeds:
        return
    yield _complete_point(gathered, command)
    yield _whole_point(gathered)
    yield _official_point([record for _, record in gathered.records])
    yield official_runs_point(gathered.records, official)
    yield _ended_point(gathered.students)
    yield _seeds_point(gathered.seeds, spec.scoring.ranked_seeds)
    yield _directions_point(gathered)
    yield _images_point(gathered)
    yield _verified_point(gathered)
    yield _stated_point(stated)


def _file_point(report: CheckReport) -> ReviewPoint:
    claim = "the file passes `kdbench check`"
    if not report.failed:
        return ReviewPoint(claim)
    first = report.failed[0]
    place = f"{first.place}: " if first.place else ""
    seen = f"{len(report.failed)} of {len(report.findings)} checks failed; first: {place}{first.seen}"
    return ReviewPoint(claim, "failed", seen, "`kdbench check` shows all findings, and what to do")


def _records_point(gathered: Gathered, command: str) -> ReviewPoint:
    claim = "the code of the file and its default settings made the records"
    others = [f"{count} are {reason}" for reason, count in gathered.left_out.items()]
    left_out = f"records that are left out: {'; '.join(others)}" if others else ""
    if gathered.seeds:
        return ReviewPoint(claim, "note" if left_out else "passed", left_out)
    seen = f"there is no such record of {gathered.method.name} on {gathered.track.name}"
    return ReviewPoint(claim, "failed", f"{seen}; {left_out}" if left_out else seen, command)


def _complete_point(gathered: Gathered, command: str) -> ReviewPoint:
    claim = "every run of these seeds has a record: teachers, independents and students, for all questions"
    if not gathered.missing:
        return ReviewPoint(claim, seen=f"{len(gathered.planned)} runs")
    first, count = gathered.missing[0], len(gathered.missing)
    seen = f"{count} of {len(gathered.planned)} have none; first: {first.title}"
    return ReviewPoint(claim, "failed", seen, command)


def _whole_point(gathered: Gathered) -> ReviewPoint:
    claim = "the records and the files beside them are as they were written"
    if not gathered.faults:
        return ReviewPoint(claim)
    seen = f"{len(gathered.faults)} are not; first: {gathered.faults[0]}"
    return ReviewPoint(claim, "failed", seen, "follow the sentence")


def _official_point(records: Sequence[Record]) -> ReviewPoint:
    claim = "the runs are official: they override nothing of the spec"
    unofficial = [record for record in records if not record.official]
    if not unofficial:
        return ReviewPoint(claim)
    first = unofficial[0]
    seen = f"{len(unofficial)} are not; first: {first.method}, seed {first.seed}: {', '.join(first.unofficial)}"
    return ReviewPoint(claim, "failed", seen, "run them without these options into another results folder")


def _ended_point(students: Sequence[Record]) -> ReviewPoint:
    claim = "the runs of the method ended well"
    failed = [record for record in students if record.status != "ok"]
    if not failed:
        return ReviewPoint(claim, seen=f"{len(students)} runs")
    first = failed[0]
    seen = f"{len(failed)} of {len(students)} did not, and are shown; first: seed {first.seed}, {first.status}"
    return ReviewPoint(claim, "note", f"{seen}: {first.reason}" if first.reason else seen)


def _seeds_point(seeds: Sequence[int], needed: int) -> ReviewPoint:
    claim = f"there are {needed} seeds, which a rank needs"
    seen = f"seeds {', '.join(map(str, seeds))}"
    if len(seeds) >= needed:
        return ReviewPoint(claim, seen=seen)
    return ReviewPoint(claim, "note", f"{seen}: the row is shown without a rank")


def _directions_point(gathered: Gathered) -> ReviewPoint:
    claim = "the method answers all questions in all directions of the track"
    method, track = gathered.method, gathered.track
    without = [direction for direction in track.directions if not method.trains(direction)]
    inside = [within_family(direction) for direction in track.directions if method.trains(direction)]
    if method.uses_teacher:
        without += [direction for direction in inside if not method.trains(direction)]
    if not without:
        return ReviewPoint(claim, seen=", ".join(track.directions))
    return ReviewPoint(claim, "note", f"it does not train {', '.join(without)}, and has no number where that is needed")


def _images_point(gathered: Gathered) -> ReviewPoint:
    claim = "`images` says what the method shows to the networks"
    images = gathered.method.images
    if images:
        return ReviewPoint(claim, seen=f'a reviewer compares this with the code: "{images}"')
    return ReviewPoint(claim, "failed", "it is empty", "write one sentence, which the leaderboard shows")


def _verified_point(gathered: Gathered) -> ReviewPoint:
    claim = "somebody computed the runs of the method a second time"
    students = [(folder, record) for folder, record in gathered.records if record.method == gathered.method.name]
    kept = [read_verification(folder, record) for folder, record in students if record.status == "ok"]
    verdicts = Counter(verification.verdict for verification in kept if verification)
    seen = ", ".join(f"{verdict}: {count}" for verdict, count in sorted(verdicts.items())) or "none of them"
    seen = f"{seen}, of {len(kept)} runs"
    if verdicts["different"]:
        return ReviewPoint(claim, "failed", seen, "`kdbench verify` names the records; run these again")
    is_done = sum(verdicts.values()) == len(kept)
    return ReviewPoint(claim, "passed" if is_done else "note", seen if is_done else f"{seen}; `kdbench verify` does it")


def _stated_point(stated: Stated) -> ReviewPoint:
    claim = "authors, citation and licence are given"
    options = {"--author": stated.authors, "--citation": stated.citation, "--licence": stated.licence}
    missing = [option for option, value in options.items() if not value]
    if not missing:
        return ReviewPoint(claim, seen=f"{', '.join(stated.authors)}; {stated.licence}")
    remedy = f"give {' and '.join(missing)}"
    return ReviewPoint(claim, "failed", "some are missing", remedy)


def official_runs_point(records: Sequence[StoredRecord], official: Path) -> ReviewPoint:
    """Return whether runs that have an official record, such as teachers, are those of this record."""
    claim = "runs that have an official record are those of this record"
    known = {(folder.parent.name, folder.name): folder for folder in find_records(official)}
    shared = [
        (record, read_record(known[place]))
        for folder, record in records
        if (place := (folder.parent.name, folder.name)) in known
    ]
    others = [record for record, first in shared if record.digests.weights != first.digests.weights]
    if not others:
        return ReviewPoint(claim, seen=f"{len(shared)} runs have one")
    first = others[0]
    seen = (
        f"{len(others)} were trained anew; first: {first.method} {first.direction or first.family}, seed {first.seed}"
    )
    remedy = "begin a results folder with `kdbench results copy`, and run the method there"
    return ReviewPoint(claim, "failed", seen, remedy)


def scored_point(scores: Scores) -> ReviewPoint:
    """Return whether scoring takes all records of a submission."""
    claim = "scoring refuses none of the records"
    if not scores.refused:
        return ReviewPoint(claim, seen=f"{len(scores.boards)} boards")
    first = scores.refused[0]
    return ReviewPoint(
        claim, "failed", f"{len(scores.refused)} are refused; first: {first.words}", "follow the sentence"
    )
