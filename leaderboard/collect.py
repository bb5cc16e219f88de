"""Collects official records for the repository: `python leaderboard/collect.py runs`.

Copies every official record of a results folder that is scored, failed runs included, into `leaderboard/results`, with
the answers that scoring reads and nothing else: predicted labels on every test set, confidence, NLL and Brier score on
clean images, KL to the teacher on the primary sets. Weights, logits, maps and logs are left out. `scores.json` is
written from the copies; where all records are official, it must equal that of the full records. `current.json`
names the code that ships, so that a record of other code is refused.
"""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.leaderboard.publish import SCORES, TIMING
from kdbench.plan.current import write_current
from kdbench.records import (
    SNAPSHOTS,
    Predictions,
    Record,
    SetPredictions,
    find_records,
    read_predictions,
    read_record,
    require_records,
    write_record,
)
from kdbench.records.current import read_current
from kdbench.records.groups import StoredRecord
from kdbench.records.storage import record_digest
from kdbench.records.verification import read_verification, write_verification
from kdbench.scoring.board import require_boards, score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.spec import Track
from kdbench.testsets.gallery import GALLERY
from kdbench.testsets.spec import load_spec

RESULTS = Path(__file__).parent / "results"
ONLY_ON_CLEAN = ("confidence", "nll", "brier")


def trimmed(track: Track, predictions: Predictions) -> Predictions:
    """Return the answers with NaN where scoring reads nothing."""
    clean = {test_set.name for test_set in track.primary_sets("clean")}
    primary = {test_set.name for test_set in track.test_sets if not test_set.diagnostic}
    return {
        name: _blanked(answers, (*(() if name in clean else ONLY_ON_CLEAN), *(() if name in primary else ("kl",))))
        for name, answers in predictions.items()
    }


def _blanked(answers: SetPredictions, keys: Sequence[str]) -> SetPredictions:
    blank: dict[str, Any] = {key: np.full(len(answers.label), np.nan, np.float32) for key in keys}
    return replace(answers, **blank)


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
        _copy_record(folder, record, to / record.track / folder.name, spec.track(record.track))
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


def _copy_record(folder: Path, record: Record, copy: Path, track: Track) -> None:
    answers = read_predictions(folder) if record.status == "ok" else {}
    if record.snapshots:
        copy.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / SNAPSHOTS, copy / SNAPSHOTS)
    write_record(copy, record, trimmed(track, answers))
    if verification := read_verification(folder, record):  # the copy has the same classes, and another digest
        write_verification(copy, verification.model_copy(update={"of": record_digest(read_record(copy))}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder that holds the records")
    parser.add_argument("--to", type=Path, default=RESULTS, help="folder to copy the official records to")
    arguments = parser.parse_args()
    print(f"{collect(arguments.results, arguments.to)} official records are in {arguments.to}")


if __name__ == "__main__":
    main()
