"""Gathers official records for the repository: `python leaderboard/collect.py runs`.

Copies every official record of a results folder that is scored, failed runs included, into `leaderboard/results`, with
the answers that scoring reads and nothing else: predicted labels everywhere, confidence, NLL and Brier score on clean
images, KL to the teacher on the primary sets. Weights, logits, maps and logs stay behind. `scores.json` is written from
the copies; where all records are official it must be that of the full records.
"""

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.leaderboard.publish import SCORES, TIMING, recorded
from kdbench.plan.current import read_current
from kdbench.records import (
    SNAPSHOTS,
    Predictions,
    Record,
    SetPredictions,
    find_records,
    read_predictions,
    read_record,
    write_record,
)
from kdbench.records.groups import StoredRecord
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.spec import Track
from kdbench.testsets.gallery import GALLERY
from kdbench.testsets.spec import load_spec

RESULTS = Path(__file__).parent / "results"
ON_CLEAN = ("confidence", "nll", "brier")


def needed(track: Track, predictions: Predictions) -> Predictions:
    """The answers without what scoring does not read, which becomes NaN."""
    clean = {one.name for one in track.primary_sets("clean")}
    primary = {one.name for one in track.test_sets if not one.diagnostic}

    def trimmed(name: str, one: SetPredictions) -> SetPredictions:
        unread = (*(() if name in clean else ON_CLEAN), *(() if name in primary else ("kl",)))
        blank: dict[str, Any] = {key: np.full(len(one.label), np.nan, np.float32) for key in unread}
        return replace(one, **blank)

    return {name: trimmed(name, one) for name, one in predictions.items()}


def official(results: Path, scores: Scores) -> Iterator[StoredRecord]:
    """Yield the official records below `results` that newer ones have not superseded."""
    superseded = {name for old in scores.superseded for name in old.records}
    for folder in recorded(results):
        record = read_record(folder)
        if record.official and folder.name not in superseded:
            yield folder, record


def collect(results: Path, to: Path) -> int:
    """Copies the official records of `results` and returns how many there are.

    Raises:
        RuntimeError: the copies score otherwise than the records they were made of.
    """
    spec, count = load_spec(), 0
    full_scores = score(results, spec, current=read_current(results))
    for folder, record in official(results, full_scores):
        copy = to / record.track / folder.name
        write_record(copy, record, needed(spec.track(record.track), _answers(folder, record)))
        if record.snapshots:
            shutil.copy2(folder / SNAPSHOTS, copy / SNAPSHOTS)
        count += 1
    for extra in (TIMING, *(f"{track}/{GALLERY}" for track in spec.tracks)):
        if (results / extra).exists():
            (to / extra).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(results / extra, to / extra)
    scores = score(to, spec)
    if len(find_records(to)) == len(find_records(results)) and scores != full_scores:
        raise RuntimeError(f"the records in {to} score otherwise than those in {results}")
    write_scores(scores, to / SCORES)
    return count


def _answers(folder: Path, record: Record) -> Predictions:
    return read_predictions(folder) if record.status == "ok" else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of the records")
    parser.add_argument("--to", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    print(f"{collect(arguments.results, arguments.to)} official records are in {arguments.to}")


if __name__ == "__main__":
    main()
