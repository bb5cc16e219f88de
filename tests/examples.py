"""Small, valid values for tests to start from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.records import (
    Digests,
    Environment,
    Predictions,
    Record,
    SetPredictions,
    SetResult,
    record_folder,
    write_record,
)
from kdbench.records.storage import record_digest
from kdbench.records.verification import TOLERANCES, Verification, differences_of

ENVIRONMENT = Environment(
    kdbench="0.1.0",
    python="3.11.7",
    torch="2.6.0",
    timm="1.0.15",
    numpy="2.0.0",
    platform="Linux",
    processor="x86_64",
    device="cpu",
    device_class="cpu-float32",
    threads=1,
)
DIGESTS = Digests(training="t" * 64, testsets="e" * 64, code="c" * 64, weights="w" * 64, arrays={"clean": "a" * 64})
ACCURACIES = {"clean": 0.9, "shape": 0.5, "texture": 0.1, "locality": 0.3, "noise": 0.82}


def a_record(**changes: Any) -> Record:
    """Return the record of an `lm` student on the synthetic track that went well; `changes` replace fields."""
    values: dict[str, Any] = {
        "run_id": "0123abcd",
        "role": "student",
        "track": "synthetic",
        "family": "vit",
        "direction": "cnn-to-vit",
        "teacher_bias": "shape",
        "method": "lm",
        "config": {"temperature": 4.0, "distill_weight": 0.9},
        "seed": 0,
        "teacher_run_id": "teacher0",
        "status": "ok",
        "digests": DIGESTS,
        "environment": ENVIRONMENT,
        "peak_memory_bytes": 10**9,
        "curves": ({"train_accuracy": 0.4, "cross_entropy": 1.5}, {"train_accuracy": 0.8, "cross_entropy": 0.5}),
        "numerics": 1,
        "finished": "2026-01-01T00:00:00+00:00",
        "test": {name: SetResult(images=1000, macro_accuracy=value) for name, value in ACCURACIES.items()},
    }
    return Record(**(values | changes))


def some_predictions(images: int = 20) -> Predictions:
    """Return answers on one test set, every second one right."""
    target = np.arange(images, dtype=np.int16) % 10
    ones = np.ones(images, np.float32)
    label = np.where(np.arange(images) % 2 == 0, target, (target + 1) % 10).astype(np.int16)
    index = np.arange(images, dtype=np.int32)
    return {"clean": SetPredictions(index, target, target, label, 0.9 * ones, 0.2 * ones, 0.1 * ones, np.nan * ones)}


def answered(right: Sequence[bool], index: Sequence[int] | None = None) -> SetPredictions:
    """Return answers on images of ten classes in turn.

    Args:
        right: per image, whether the answer is right.
        index: of the clean images that they were made from.
    """
    origins = np.array(range(len(right)) if index is None else index, np.int32)
    target, ones = (origins % 10).astype(np.int16), np.ones(len(right), np.float32)
    label = np.where(right, target, (target + 1) % 10).astype(np.int16)
    return SetPredictions(origins, target, target, label, ones, ones, ones, ones)


def store(results: Path, record: Record, predictions: Predictions | None = None) -> Path:
    """Write a record below `results` and return its folder.

    Without predictions, these fit the record; else its test sets become those that were answered.
    """
    folder = record_folder(results, record.track, record.run_id, record.digests.testsets)
    if predictions is None:
        predictions = {name: some_predictions(answers.images)["clean"] for name, answers in record.test.items()}
    else:
        record = record.model_copy(
            update={"test": {name: _result(record, name, answers) for name, answers in predictions.items()}}
        )
    write_record(folder, record, predictions)
    return folder


def a_verification(record: Record, answers: Predictions) -> Verification:
    """Return what somebody found who evaluated the weights of a record to the same answers."""
    return Verification(
        of=record_digest(record),
        by="somebody",
        when="2026-01-02T00:00:00+00:00",
        how="evaluated",
        machine=ENVIRONMENT,
        verdict="equal",
        tolerance=TOLERANCES["evaluated"],
        differences=differences_of(record, answers, answers),
    )


def unsealed(record: Record) -> Record:
    """Return a record without the digests that writing it adds."""
    return record.model_copy(update={"digests": record.digests.model_copy(update={"files": {}, "record": None})})


def _result(record: Record, name: str, answers: SetPredictions) -> SetResult:
    accuracy = record.test[name].macro_accuracy if name in record.test else 0.5
    return SetResult(images=len(answers.target), macro_accuracy=accuracy)
