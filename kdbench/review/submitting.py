"""Makes a submission of a method file and a results folder: gathers, checks, scores, and writes the pull request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.checks.report import CheckReport
from kdbench.errors import plain_text
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.methods.files import read_method_file, submission_path
from kdbench.methods.inquiries import Describe, Description, Inquiry, Trial
from kdbench.plan.checks import check_names, checked_shapes
from kdbench.plan.questions import posed_by
from kdbench.plan.submissions import read_submissions
from kdbench.records import require_records
from kdbench.records.official import official_folder
from kdbench.records.schema import LONGEST_LINE
from kdbench.review.card import SubmissionCard
from kdbench.review.folder import copy_records, move_into, records_in, require_own, write_repository, write_text
from kdbench.review.gathering import Gathered, gather
from kdbench.review.points import ReviewPoint, Stated, points_of, scored_point
from kdbench.review.rescoring import rescored
from kdbench.spec import Spec, Track


@dataclass(frozen=True)
class SubmissionRequest:
    """What is to be submitted, and where to write it.

    Attributes:
        file: of the method.
        results: folder with its records.
        track: name of the track.
        to: folder of the pull request.
        stated: by the author.
    """

    file: Path
    results: Path
    track: str
    to: Path
    stated: Stated


@dataclass(frozen=True)
class Prepared:
    """What came of a request.

    Attributes:
        points: that were checked.
        card: what the submission says of itself; None if a point failed, and nothing was written.
    """

    points: tuple[ReviewPoint, ...]
    card: SubmissionCard | None = None


def submit(
    request: SubmissionRequest, spec: Spec, describe: Describe, check: Callable[[Path], CheckReport]
) -> Prepared:
    """Check a submission, and write the folder of its pull request unless a point failed.

    Args:
        request: what to submit.
        spec: the shipped one.
        describe: answers inquiries about method files, whose code does not run in this process.
        check: returns the findings of `kdbench check`.

    Raises:
        SubmissionError: the file breaks the contract, or has the name of another shipped method.
        InputError: the results folder has no records, or the folder to write holds something else.
        WriteError: the folder cannot be written.
    """
    require_own(request.to)
    require_records(request.results)
    track, file = spec.track(request.track), read_method_file(submission_path(request.file))
    trial = Trial(track, track.directions, checked_shapes(track))
    submissions = read_submissions([str(request.file)], {}, trial, describe)
    check_names(submissions)
    gathered = gather(request.results, submissions, track)
    command = _command(request, track, gathered.seeds)
    points = [*points_of(gathered, check(request.file), request.stated, official_folder(), spec, command)]
    if not gathered.seeds:
        return Prepared(tuple(points))
    with temporary_folder("kdbench-submit-") as place:
        records = records_in(place, gathered.method.name)
        copy_records(gathered, records)
        scores = rescored(records, gathered.method.name, file, spec)
        points.append(scored_point(scores))
        if any(point.judgement == "failed" for point in points):
            return Prepared(tuple(points))
        card = _card(gathered, describe([Inquiry(file.path, file.source)])[0], request.stated)
        write_repository(place, card, file.source, scores)
        write_text(place, card, gathered, points)
        move_into(place, request.to)
    return Prepared(tuple(points), card)


def _command(request: SubmissionRequest, track: Track, seeds: Sequence[int]) -> str:
    """Return what to do about missing runs."""
    questions, listed = ",".join(posed_by(track)), ",".join(map(str, seeds)) or "0-4"
    return (
        f"`kdbench run --track {track.name} --methods {request.file} --questions {questions} --seeds {listed} --out "
        f"{request.results}` makes them"
    )


def _card(gathered: Gathered, description: Description, stated: Stated) -> SubmissionCard:
    """Return what the submission says of itself."""
    return SubmissionCard(
        method=description.name,
        summary=plain_text(description.summary, LONGEST_LINE),
        paper=plain_text(description.paper, LONGEST_LINE),
        images=description.images,
        authors=stated.authors,
        citation=stated.citation,
        licence=stated.licence,
        code=gathered.method.code,
        track=gathered.track.name,
        device=gathered.device,
        seeds=gathered.seeds,
    )
