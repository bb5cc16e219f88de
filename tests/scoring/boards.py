"""Boards of fake records, and the records changed one by one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kdbench.records import Predictions, Record, read_predictions, read_record, write_record
from kdbench.records.summary import summarise
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.scores import Board, Row
from kdbench.spec import Spec, Track
from kdbench.testsets.spec import load_spec

RESAMPLES = 200  # of the test images; intervals are about as wide as with the shipped spec's thousand
SHIPPED = load_spec()
SPEC = SHIPPED.model_copy(update={"scoring": SHIPPED.scoring.model_copy(update={"bootstrap_samples": RESAMPLES})})


def board_of(results: Path, spec: Spec = SPEC) -> Board:
    """Return the one board that these records make."""
    (board,) = score(results, spec).boards
    return board


def rows_of(board: Board) -> Mapping[str, Row]:
    """Return the rows by method."""
    return {row.method: row for row in board.rows}


def estimated(score: Score | None) -> Estimate:
    assert isinstance(score, Estimate), score
    return score


def rewrite(
    folder: Path, change: Callable[[Predictions], Predictions] = lambda predictions: predictions, **fields: Any
) -> None:
    """Write a record again in place with other fields or other answers; its test sets become those of the answers."""
    predictions = change(read_predictions(folder))
    record = read_record(folder).model_dump() | {"test": summarise(predictions)} | fields
    write_record(folder, Record.model_validate(record), predictions)


def with_track_scoring(name: str, **fields: Any) -> Spec:
    """Return the spec with other settings of one track's scoring."""
    track: Track = SPEC.tracks[name]
    changed = track.model_copy(update={"scoring": track.scoring.model_copy(update=fields)})
    return SPEC.model_copy(update={"tracks": {**SPEC.tracks, name: changed}})
