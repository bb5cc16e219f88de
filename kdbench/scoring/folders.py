"""Scores results folders: finds their records, reads what is current, and keeps the scores beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.records import require_records
from kdbench.records.current import read_current
from kdbench.scoring.board import score, write_if_possible
from kdbench.scoring.frames import SCORES_FILE
from kdbench.scoring.scores import Scores
from kdbench.spec import Spec


@dataclass(frozen=True)
class ScoredFolders:
    """The scores of results folders.

    Attributes:
        faults: a sentence about each file, other than records, that could not be read.
        unwritten: a sentence about `scores.json` if it could not be written.
    """

    scores: Scores
    faults: tuple[str, ...]
    unwritten: tuple[str, ...]


def score_folders(results: Sequence[Path], spec: Spec) -> ScoredFolders:
    """Score all records below some results folders, and write `scores.json` into the first one if that is possible.

    Raises:
        InputError: a results folder has no records.
    """
    require_records(*results)
    current = read_current(*results)
    scores = score(results, spec, current=current)
    unwritten = write_if_possible(scores, results[0] / SCORES_FILE)
    return ScoredFolders(scores, current.faults, unwritten)
