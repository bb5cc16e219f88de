"""The only place that reads and writes records.

A record is a folder `RESULTS/TRACK/RUN-TESTSETS/` with `result.json` (`kdbench.records.schema`) and `predictions.npz`
(every answer on every test set); a control that is evaluated in the course of its training has `snapshots.npz`, too.
Weights, logits, occlusion maps and the log lie in the same folder while they are kept; no score depends on those.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kdbench.errors import InputError, RecordError, describe_invalid
from kdbench.files import DAMAGES, atomic_file
from kdbench.records.schema import SCHEMA_VERSION, Predictions, Record, SetPredictions

RESULT, PREDICTIONS, SNAPSHOTS, WEIGHTS, LOGITS, OCCLUSION, LOG = (
    "result.json",
    "predictions.npz",
    "snapshots.npz",
    "weights.safetensors",
    "logits.npz",
    "occlusion.npz",
    "log.txt",
)
_ARRAYS = tuple(SetPredictions.__dataclass_fields__)
_LEAST_VALUES = {"index": -1, "target": 0, "texture": 0, "label": 0}


def write_record(folder: Path, record: Record, predictions: Predictions) -> None:
    """Write a record into `folder`. `result.json` is written last, so a folder that has it is complete."""
    if predictions:
        arrays = {f"{name}.{key}": getattr(answers, key) for name, answers in predictions.items() for key in _ARRAYS}
        with atomic_file(folder / PREDICTIONS) as file:
            np.savez_compressed(file, **arrays)
    with atomic_file(folder / RESULT) as file:
        file.write(record.model_dump_json(indent=1).encode() + b"\n")


def read_record(folder: Path) -> Record:
    """Return the record in `folder`.

    Raises:
        RecordError: there is none, or it does not have this schema.
    """
    path = folder / RESULT
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RecordError(f"there is no record in {folder}: {RESULT} is missing; name another folder") from error
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}; name another folder") from error
    except ValidationError as error:
        reason = describe_invalid(error, Record)
        raise RecordError(
            f"{path} is not a record of schema {SCHEMA_VERSION}: {reason}; delete {folder} to run it again"
        ) from error


def read_predictions(folder: Path, record: Record | None = None) -> Predictions:
    """Return the answers in `folder`, by test set.

    Args:
        folder: of the record.
        record: names the test sets that must be there and their numbers of images; None to read what is there.

    Raises:
        RecordError: the answers are missing or damaged, or they lack sets or images that the record has.
    """
    path = folder / PREDICTIONS
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = dict.fromkeys(key.rsplit(".", 1)[0] for key in arrays.files)
            predictions = {name: _checked(name, {key: arrays[f"{name}.{key}"] for key in _ARRAYS}) for name in names}
        for name, result in (record.test if record else {}).items():
            images = len(predictions[name].target) if name in predictions else 0
            if images != result.images:
                raise ValueError(f"{name} has {images} images, the record says {result.images}")
    except DAMAGES as error:
        raise RecordError(f"{path} cannot be read as predictions: {error}; delete {folder} to run it again") from error
    return predictions


def _checked(name: str, arrays: Mapping[str, NDArray[Any]]) -> SetPredictions:
    """Return the answers on a test set.

    Raises:
        ValueError: the arrays do not fit each other, or hold what no network answers.
    """
    for key, array in arrays.items():
        if array.shape != (len(arrays["target"]),):
            raise ValueError(f"{name}.{key} has the shape {array.shape}, but there are {len(arrays['target'])} images")
        if array.dtype.kind != ("i" if key in _LEAST_VALUES else "f"):
            wanted = "integers" if key in _LEAST_VALUES else "floating-point numbers"
            raise ValueError(f"{name}.{key} holds {array.dtype.name}, allowed are {wanted}")
        if key in _LEAST_VALUES and len(array) and (least := int(array.min())) < _LEAST_VALUES[key]:
            raise ValueError(f"{name}.{key} has the value {least}, allowed are {_LEAST_VALUES[key]} and more")
    return SetPredictions(**arrays)


def write_snapshots(folder: Path, labels: Mapping[str, NDArray[np.int16]]) -> None:
    """Store the answers of a student in the course of its training.

    Args:
        folder: of the record.
        labels: by test set, (snapshots, n) int16 predicted classes.
    """
    with atomic_file(folder / SNAPSHOTS) as file:
        np.savez_compressed(file, **labels)  # type: ignore[arg-type]


def read_snapshots(folder: Path) -> tuple[Predictions, ...]:
    """Return the answers of a student at each of its snapshots, in order.

    Only predicted classes were stored; confidences and the like are NaN.

    Raises:
        RecordError: the answers at the end, or those at the snapshots, are missing or damaged.
    """
    end, path = read_predictions(folder), folder / SNAPSHOTS
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = {name: arrays[name] for name in arrays.files}
        count = min((len(classes) for classes in labels.values()), default=0)
        return tuple(
            {name: _at_snapshot(name, end[name], classes[k]) for name, classes in labels.items()} for k in range(count)
        )
    except DAMAGES as error:
        raise RecordError(f"{path} cannot be read as snapshots: {error}; delete {folder} to run it again") from error


def _at_snapshot(name: str, end: SetPredictions, label: NDArray[np.int16]) -> SetPredictions:
    """Return the answers at a snapshot, from those at the end and the predicted classes.

    Raises:
        ValueError: the classes are not of the images that were answered at the end.
    """
    arrays: dict[str, NDArray[Any]] = dict.fromkeys(_ARRAYS, np.full(len(end.target), np.nan, np.float32))
    known: dict[str, NDArray[Any]] = {"index": end.index, "target": end.target, "texture": end.texture, "label": label}
    return _checked(name, {**arrays, **known})


def record_folder(results: Path, track: str, run_id: str, testsets_digest: str) -> Path:
    """Return the folder of a run's record; a run that is evaluated on other test sets has another record."""
    return results / track / f"{run_id}-{testsets_digest[:8]}"


def require_records(results: Path) -> list[Path]:
    """Return the folders below `results` that hold a record, sorted.

    Raises:
        InputError: there are none.
    """
    folders = find_records(results)
    if not folders:
        raise InputError(f"there are no records in {results}; `kdbench run` makes some, or name another folder")
    return folders


def find_records(results: Path) -> list[Path]:
    """Return the folders below `results` that hold a record, sorted."""
    return sorted(path.parent for path in results.glob(f"[!.]*/*/{RESULT}"))
