"""The one place that reads and writes records.

A record is a folder `RESULTS/TRACK/RUN-TESTSETS/` with `result.json` (`kdbench.records.schema`) and `predictions.npz`
(every answer on every test set); a control that is evaluated along its training has `snapshots.npz`, too. Weights,
logits, occlusion maps and the log lie beside them while they are kept; nothing that is scored depends on those.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kdbench.errors import RecordError, describe_invalid
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
_LEAST = {"index": -1, "target": 0, "texture": 0, "label": 0}


def write_record(folder: Path, record: Record, predictions: Predictions) -> None:
    """Writes a record into `folder`; `result.json` comes last, so a folder with one is complete."""
    if predictions:
        arrays = {f"{name}.{key}": getattr(one, key) for name, one in predictions.items() for key in _ARRAYS}
        with atomic_file(folder / PREDICTIONS) as file:
            np.savez_compressed(file, **arrays)
    with atomic_file(folder / RESULT) as file:
        file.write(record.model_dump_json(indent=1).encode() + b"\n")


def read_record(folder: Path) -> Record:
    """The record in `folder`.

    Raises:
        RecordError: there is none, or it is not of this schema.
    """
    path = folder / RESULT
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"no record in {folder}: {error.strerror}") from error
    except ValidationError as error:
        reason = describe_invalid(error, Record)
        raise RecordError(
            f"{path} is not a record of schema {SCHEMA_VERSION}: {reason}; delete {folder} to run it again"
        ) from error


def read_predictions(folder: Path, record: Record | None = None) -> Predictions:
    """The answers in `folder`, by test set.

    Args:
        folder: of the record.
        record: which says what sets there are, and how many images; without it, they are not compared.

    Raises:
        RecordError: they are missing, damaged, or lack sets or images that the record has.
    """
    path = folder / PREDICTIONS
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = dict.fromkeys(key.rsplit(".", 1)[0] for key in arrays.files)
            found = {name: _whole(name, {key: arrays[f"{name}.{key}"] for key in _ARRAYS}) for name in names}
        for name, result in (record.test if record else {}).items():
            images = len(found[name].target) if name in found else 0
            if images != result.images:
                raise ValueError(f"{name} has {images} images, the record says {result.images}")
    except DAMAGES as error:
        raise RecordError(f"{path} cannot be read as predictions: {error}; delete {folder} to run it again") from error
    return found


def _whole(name: str, arrays: Mapping[str, NDArray[Any]]) -> SetPredictions:
    """The answers on a test set; ValueError if its arrays are not of the kind that is written."""
    for key, array in arrays.items():
        if array.shape != (len(arrays["target"]),):
            raise ValueError(f"{name}.{key} has the shape {array.shape}, but there are {len(arrays['target'])} images")
        if array.dtype.kind != ("i" if key in _LEAST else "f"):
            raise ValueError(f"{name}.{key} holds {array.dtype.name}")
        if key in _LEAST and len(array) and (least := int(array.min())) < _LEAST[key]:
            raise ValueError(f"{name}.{key} has the value {least}, allowed are {_LEAST[key]} and more")
    return SetPredictions(**arrays)


def write_snapshots(folder: Path, labels: Mapping[str, NDArray[np.int16]]) -> None:
    """Keeps what a student answered along its training: by test set, (snapshots, n) predicted classes."""
    with atomic_file(folder / SNAPSHOTS) as file:
        np.savez_compressed(file, **labels)  # type: ignore[arg-type]


def read_snapshots(folder: Path) -> tuple[Predictions, ...]:
    """What a student answered at each of its snapshots, in order; only predicted classes were kept, the rest is NaN.

    Raises:
        RecordError: the answers at the end, or those along the way, are missing or damaged.
    """
    end, path = read_predictions(folder), folder / SNAPSHOTS
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = {name: arrays[name] for name in arrays.files}
        count = min((len(one) for one in labels.values()), default=0)
        return tuple({name: _answered(name, end[name], labels[name][k]) for name in labels} for k in range(count))
    except DAMAGES as error:
        raise RecordError(f"{path} cannot be read as snapshots: {error}; delete {folder} to run it again") from error


def _answered(name: str, end: SetPredictions, label: NDArray[np.int16]) -> SetPredictions:
    """Answers on the same images of which only the classes are known; ValueError if they are not of so many images."""
    arrays: dict[str, NDArray[Any]] = dict.fromkeys(_ARRAYS, np.full(len(end.target), np.nan, np.float32))
    known: dict[str, NDArray[Any]] = {"index": end.index, "target": end.target, "texture": end.texture, "label": label}
    return _whole(name, {**arrays, **known})


def record_folder(results: Path, track: str, run_id: str, testsets_digest: str) -> Path:
    """Where the record of a run lies: a run evaluated on other test sets is another record."""
    return results / track / f"{run_id}-{testsets_digest[:8]}"


def find_records(results: Path) -> list[Path]:
    """Folders below `results` that hold a record, sorted."""
    return sorted(path.parent for path in results.glob(f"*/*/{RESULT}"))
