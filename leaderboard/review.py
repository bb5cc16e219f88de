"""Reviews a submission, as continuous integration does: `python leaderboard/review.py FOLDER --method FILE`.

FOLDER is what `kdbench submit` made for `leaderboard/submitted/`. Its records are scored again, and must give its
`scores.json` to the byte. Then one of its seeds is drawn, and all students of the method with this seed are trained
again by `kdbench verify --retrain`, with their teachers, since a submission has no weights.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kdbench.errors import KdbenchError, plain_text
from kdbench.methods.files import MethodFile, read_method_file
from kdbench.records import Record, find_records, read_record
from kdbench.records.official import official_folder
from kdbench.review.card import SubmissionCard, read_card
from kdbench.review.points import official_runs_point
from kdbench.review.rescoring import rescored
from kdbench.scoring.board import scores_text
from kdbench.scoring.frames import SCORES_FILE
from kdbench.spec import INDEPENDENT, TEACHER
from kdbench.testsets.spec import load_spec

REVIEWER = "continuous integration"
Retrain = Callable[[Sequence[Path], Path], int]


def faults_of(folder: Path, card: SubmissionCard, file: MethodFile) -> Iterator[str]:
    """Yield a sentence about everything in a submission that is not as `kdbench submit` makes it.

    Args:
        folder: of the submission.
        card: what it says of itself.
        file: of the method.

    Raises:
        InputError: a record cannot be read.
    """
    if (file.path.name, file.code) != (f"{card.method}.py", card.code):
        yield f"{file.path.name} has the code {file.code[:12]}..., but {card.method}.py is submitted with {card.code}"
    for place, record in _records(folder):
        if record.method not in (card.method, INDEPENDENT, TEACHER) or record.control or record.track != card.track:
            yield f"{place.name} is a record of {record.method} on {record.track}, which does not belong here"
        elif record.unofficial:
            yield f"{place.name} is not official: {', '.join(record.unofficial)}"
    students = [record for _, record in _records(folder) if record.method == card.method]
    if (seeds := tuple(sorted({record.seed for record in students}))) != card.seeds:
        yield f"its students have the seeds {seeds}, and its card lists {card.seeds}"
    if (point := official_runs_point([*_records(folder)], official_folder())).judgement == "failed":
        yield f"not true: {point.claim}; {point.seen}"
    scores = rescored(folder, card.method, file, load_spec())
    yield from (f"scoring refuses {record.words}" for record in scores.refused)
    if scores_text(scores) != _text_of(folder / SCORES_FILE):
        yield f"the records do not give the {SCORES_FILE} beside them"


def _records(folder: Path) -> Iterator[tuple[Path, Record]]:
    return ((place, read_record(place)) for place in find_records(folder))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def students_of(folder: Path, card: SubmissionCard, seed: int) -> list[Path]:
    """Return the records of the method's students of a seed that ended well."""
    return [
        place
        for place, record in _records(folder)
        if (record.method, record.seed, record.status) == (card.method, seed, "ok")
    ]


def retrain(students: Sequence[Path], method: Path) -> int:
    """Train students again with the code of a method file, which is confined, and return the exit code."""
    command = [sys.executable, "-m", "kdbench", "verify", *map(str, students), "--retrain"]
    return subprocess.run([*command, "--method", str(method), "--name", REVIEWER], check=False).returncode


def review(folder: Path, method: Path, draw: int, retrain: Retrain = retrain) -> int:
    """Review a submission, print what was seen, and return an exit code.

    Args:
        folder: of the submission.
        method: its method file.
        draw: a number that the author of the submission does not choose; it decides which seed is trained again.
        retrain: trains students again.
    """
    card = read_card(folder)
    faults = list(faults_of(folder, card, read_method_file(method)))
    for fault in faults:
        print(f"::error::{plain_text(fault)}")
    if faults:
        return 1
    print(f"{len(find_records(folder))} records of {card.method} give the same scores again")
    if card.device != "cpu":
        print(f"::warning::the runs of {card.method} were trained on a GPU; a maintainer must train a seed again")
        return 0
    seed = card.seeds[draw % len(card.seeds)]
    students = students_of(folder, card, seed)
    print(f"training {len(students)} students of {card.method} with the seed {seed} again", flush=True)
    return retrain(students, method) if students else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the submission")
    parser.add_argument("--method", type=Path, required=True, help="file of the method")
    parser.add_argument("--draw", type=int, default=0, help="number that decides which seed is trained again")
    arguments = parser.parse_args()
    try:
        sys.exit(review(arguments.folder, arguments.method, arguments.draw))
    except KdbenchError as error:
        print(f"::error::{error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
