"""Collects official records for the repository: `python leaderboard/collect.py runs`.

Copies every official record of a results folder that is scored, failed runs included, into `leaderboard/results`, with
the answers that scoring reads and nothing else, as `kdbench.records.excerpts` says. `scores.json` is
written from the copies; where all records are official, it must equal that of the full records. `current.json`
names the code that ships, so that a record of other code is refused.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from kdbench.leaderboard.publish import SCORES, TIMING
from kdbench.plan.current import write_current
from kdbench.records import find_records, read_record, require_records
from kdbench.records.current import read_current
from kdbench.records.excerpts import copy_excerpt
from kdbench.records.groups import StoredRecord
from kdbench.scoring.board import require_boards, score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.testsets.gallery import GALLERY
from kdbench.testsets.spec import load_spec

RESULTS = Path(__file__).parent / "results"


def scored_official_records(results: Path, scores: Scores) -> Iterator[StoredRecord]:
    """Yield the official records below `results` that are scored."""
    for folder in require_records(results):
        if (folder.parent.name, folder.name) not in scores.left_out and (record := read_record(folder)).official:
            yield folder, record


def collect(results: Path, to: Path) -> int:
    """Copy the official records of `results` that are scored, and score the copies.

    Args:
        results: folder of records.
        to: folder of the copies.

    Returns:
        The number of copied records.

    Raises:
        InputError: there are no records in `results`, or all of them are refused.
        RuntimeError: the scores of the copies differ from those of the records that they were made from.
    """
    spec, count = load_spec(), 0
    full_scores = score(results, spec, current=read_current(results))
    require_boards(full_scores, [results])
    for folder, record in scored_official_records(results, full_scores):
        copy_excerpt(folder, record, to / record.track / folder.name, spec.track(record.track))
        count += 1
    for name in (TIMING, *(f"{track}/{GALLERY}" for track in spec.tracks)):
        if (results / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(results / name, to / name)
    write_current(to, spec)
    scores = score(to, spec, current=read_current(to))
    if len(find_records(to)) == len(find_records(results)) and scores != full_scores:
        raise RuntimeError(f"the scores of the records in {to} differ from those of the records in {results}")
    write_scores(scores, to / SCORES)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder that holds the records")
    parser.add_argument("--to", type=Path, default=RESULTS, help="folder to copy the official records to")
    arguments = parser.parse_args()
    print(f"{collect(arguments.results, arguments.to)} official records are in {arguments.to}")


if __name__ == "__main__":
    main()
