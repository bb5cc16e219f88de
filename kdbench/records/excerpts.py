"""Copies a record with the answers that scoring reads, and without what weighs.

These are the predicted labels on every test set, confidence, NLL and Brier score on clean images, and KL to the teacher
on the primary sets. Weights, logits, maps, the log and the source of the method are left out.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from kdbench.records.schema import Predictions, Record, SetPredictions
from kdbench.records.storage import SNAPSHOTS, read_predictions, read_record, record_digest, write_record
from kdbench.records.verification import read_verification, write_verification
from kdbench.spec import Track

ONLY_ON_CLEAN: Final = ("confidence", "nll", "brier")


def copy_excerpt(folder: Path, record: Record, copy: Path, track: Track) -> None:
    """Write a record into another folder, with the answers that scoring reads and with its verification.

    Args:
        folder: of the record.
        record: that lies in it.
        copy: folder of the copy.
        track: of the record.
    """
    answers = read_predictions(folder, record) if record.status == "ok" else {}
    if record.snapshots:
        copy.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / SNAPSHOTS, copy / SNAPSHOTS)
    write_record(copy, record, trimmed(track, answers))
    if verification := read_verification(folder, record):  # the copy has the same classes, and another digest
        write_verification(copy, verification.model_copy(update={"of": record_digest(read_record(copy))}))


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
