"""Writes the folder of a pull request: what goes into the repository, and the text of the request."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kdbench.errors import InputError, WriteError, plain_text
from kdbench.files import atomic_file
from kdbench.records import Environment
from kdbench.records.excerpts import copy_excerpt
from kdbench.review.card import SubmissionCard, write_card
from kdbench.review.gathering import Gathered
from kdbench.review.points import ReviewPoint
from kdbench.scoring.board import write_scores
from kdbench.scoring.frames import SCORES_FILE
from kdbench.scoring.scores import Scores

REPOSITORY, TEXT = "repository", "pull-request.md"
SUBMISSIONS, RECORDS = Path("benchmark", "submissions"), Path("leaderboard", "submitted")
EXPECTED: Final = "Write here what you expected before you ran the method."


def require_own(folder: Path) -> None:
    """Raise InputError if a folder holds anything but what an earlier submission wrote, which may be replaced."""
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= {REPOSITORY, TEXT}):
        raise InputError(f"{folder} holds other files; choose another folder with --to")


def copy_records(gathered: Gathered, records: Path) -> None:
    """Write the records of a submission into a folder, as the repository keeps official ones."""
    for source, record in gathered.records:
        copy_excerpt(source, record, records / record.track / source.name, gathered.track)


def write_repository(place: Path, card: SubmissionCard, source: bytes, scores: Scores) -> None:
    """Write what belongs to the records of a submission that `copy_records` copied.

    Args:
        place: folder of a pull request that is being made.
        card: what the submission says of itself.
        source: of the method file.
        scores: of the copied records.
    """
    records = records_in(place, card.method)
    write_card(records, card)
    write_scores(scores, records / SCORES_FILE)
    with atomic_file(place / REPOSITORY / SUBMISSIONS / f"{card.method}.py") as file:
        file.write(source)


def records_in(place: Path, method: str) -> Path:
    """Return the folder of a submission's records in the folder of a pull request."""
    return place / REPOSITORY / RECORDS / method


def move_into(place: Path, folder: Path) -> None:
    """Move what was written for a pull request into its folder, in the place of an earlier one.

    Raises:
        WriteError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / REPOSITORY).exists():
            shutil.rmtree(folder / REPOSITORY)
        for name in (REPOSITORY, TEXT):
            shutil.move(place / name, folder / name)
    except OSError as error:
        raise WriteError.at(folder, error) from error


def write_text(place: Path, card: SubmissionCard, gathered: Gathered, points: Sequence[ReviewPoint]) -> None:
    """Write the text of the pull request."""
    machines = sorted({_machine(record.environment) for _, record in gathered.records})
    facts = {
        "summary": card.summary,
        "paper": card.paper,
        "images": card.images,
        "authors": ", ".join(card.authors),
        "citation": card.citation,
        "licence": card.licence,
        "track, seeds": f"{card.track}, {', '.join(map(str, card.seeds))}",
        "code": card.code,
        "machines": "; ".join(machines),
    }
    rows = [f"| {name} | {_cell(value)} |" for name, value in facts.items() if value]
    checks = [f"| {point.judgement} | {_cell(point.claim)} | {_cell(point.seen)} |" for point in points]
    lines = [
        *(f"# Submission of {card.method}", "", EXPECTED, "", "| | |", "|---|---|", *rows, ""),
        *("What `kdbench submit` checked:", "", "| | claim | seen |", "|---|---|---|", *checks, ""),
    ]
    with atomic_file(place / TEXT) as file:
        file.write("\n".join(lines).encode())


def _machine(environment: Environment) -> str:
    device = "" if environment.device == "cpu" else f" and {environment.device}"
    return f"{environment.processor}{device}, {environment.platform}, PyTorch {environment.torch}"


def _cell(text: str) -> str:
    """Return text as it stands in a cell of a table."""
    return plain_text(text).replace("|", "\\|")
