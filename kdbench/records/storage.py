"""The only place that reads and writes records.

A record is a folder `RESULTS/TRACK/RUN-TESTSETS/` with `result.json` (`kdbench.records.schema`) and `predictions.npz`
(every answer on every test set); a control that is evaluated in the course of its training has `snapshots.npz`, too.
The source of the method, weights, logits, occlusion maps and the log lie in the same folder while they are kept; no
score depends on those.
"""

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kdbench.errors import InputError, RecordError, describe_invalid, remedy
from kdbench.files import DAMAGES, atomic_file, file_sha256, without_mark
from kdbench.records.arrays import JoinedArrays, read_joined
from kdbench.records.schema import SCHEMA_VERSION, Predictions, Record, SetPredictions
from kdbench.spec import digest

RESULT, PREDICTIONS, SNAPSHOTS, WEIGHTS, LOGITS, OCCLUSION, LOG, SOURCE = (
    "result.json",
    "predictions.npz",
    "snapshots.npz",
    "weights.safetensors",
    "logits.npz",
    "occlusion.npz",
    "log.txt",
    "method.py",
)
HASHED: Final = (PREDICTIONS, SNAPSHOTS, WEIGHTS, LOG, SOURCE)
"""The files beside a record whose digests it carries; logits and maps can be made again from the weights."""
_ARRAYS = tuple(SetPredictions.__dataclass_fields__)
_LIMITS = {"index": (-1, 2**31 - 1), **dict.fromkeys(("target", "texture", "label"), (0, 2**15 - 1))}
MOST_FILE_BYTES: Final = 2**28


def write_record(folder: Path, record: Record, predictions: Predictions) -> None:
    """Write a record into `folder`, with the digests of the files that lie there and of the record itself.

    `result.json` is written last, so a folder that has it is complete.
    """
    if predictions:
        with atomic_file(folder / PREDICTIONS) as file:
            JoinedArrays.of({name: vars(answers) for name, answers in predictions.items()}, images_from="target").write(
                file
            )
    seal_record(folder, record)


def seal_record(folder: Path, record: Record) -> None:
    """Write `result.json`, with the digests of the files that lie beside it and of the record itself."""
    files = {name: file_sha256(folder / name) for name in HASHED if (folder / name).exists()}
    sealed = _with_digests(record, files=files, record=None)
    sealed = _with_digests(sealed, record=record_digest(sealed))
    with atomic_file(folder / RESULT) as file:
        file.write(sealed.model_dump_json(indent=1).encode() + b"\n")


def _with_digests(of: Record, **digests: Any) -> Record:
    return of.model_copy(update={"digests": of.digests.model_copy(update=digests)})


def record_digest(record: Record) -> str:
    """Return the digest of a record's fields, all but this digest itself.

    Fields with their default values are left out, so that a field which is added later changes no digest.
    """
    fields = json.loads(record.model_dump_json(exclude_defaults=True))
    fields["digests"].pop("record", None)
    return digest(fields)


def _bytes_of(path: Path) -> bytes:
    """Return the bytes of a file; OSError for a device or a pipe, which may never end, and for a file that is huge."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if (size := path.stat().st_size) > MOST_FILE_BYTES:
        raise OSError(errno.EFBIG, f"it has {size} bytes; allowed: at most {MOST_FILE_BYTES}", str(path))
    return path.read_bytes()


def read_record(folder: Path) -> Record:
    """Return the record in `folder`.

    Raises:
        RecordError: there is none, or it does not have this schema.
    """
    path = folder / RESULT
    try:
        return Record.model_validate_json(without_mark(_bytes_of(path)))
    except FileNotFoundError as error:
        raise RecordError(f"there is no record in {folder}: {RESULT} is missing; name another folder") from error
    except OSError as error:
        reason = f"{error.strerror or error}; {remedy(error, 'name another folder')}"
        raise RecordError(f"{path} cannot be read: {reason}") from error
    except ValidationError as error:
        reason = describe_invalid(error, Record)
        raise RecordError(
            f"{path} is not a record of schema {SCHEMA_VERSION}: {reason}; {run_again(folder)}"
        ) from error


def read_predictions(folder: Path, record: Record | None = None) -> Predictions:
    """Return the answers in `folder`, by test set.

    Args:
        folder: of the record.
        record: names the test sets that must be there, their numbers of images and the digest of the file; None to read
            what is there.

    Raises:
        RecordError: the answers are missing or damaged, they lack sets or images that the record has, or they are not
            the ones that the record was written with.
    """
    path = folder / PREDICTIONS
    try:
        joined = read_joined(_content(path, record), _ARRAYS)
        _check_answers(joined.arrays)
        for name, result in (record.test if record else {}).items():
            if (images := joined.images.get(name, 0)) != result.images:
                raise ValueError(f"{name} has {images} images, the record says {result.images}")
    except DAMAGES as error:
        reason = f"{error}; {remedy(error, run_again(folder))}"
        raise RecordError(f"{path} cannot be read as predictions: {reason}") from error
    return {name: SetPredictions(**arrays) for name, arrays in joined.by_set().items()}


def _content(path: Path, record: Record | None) -> BytesIO:
    """Return the bytes of a file, which are those that the record carries the digest of, if it carries one.

    Raises:
        OSError: the file cannot be read.
        RecordError: these are other bytes.
    """
    content = _bytes_of(path)
    expected = record.digests.files.get(path.name) if record else None
    if expected is not None and (actual := hashlib.sha256(content).hexdigest()) != expected:
        raise RecordError(changed_since(path, actual, expected))
    return BytesIO(content)


def run_again(folder: Path) -> str:
    """Return how the run of a record that cannot be used is run again, as the end of a sentence.

    Nobody is told to delete anything, because the files may be somebody else's.
    """
    return f"move {folder} out of the results folder to run it again"


def changed_since(path: Path, actual: str, expected: str) -> str:
    """Return the sentence about a file that is not the one that its record was written with."""
    return (
        f"{path} was changed after its record was written: its sha256 is {actual[:12]}..., the record has "
        f"{expected[:12]}...; {run_again(path.parent)}"
    )


def _check_answers(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError for arrays that are not one number per image, or hold what no network answers."""
    for key, array in arrays.items():
        if array.ndim != 1:
            raise ValueError(f"{key} has the shape {array.shape}; allowed: one number per image")
        _check_numbers(key, array)


def _check_numbers(key: str, array: NDArray[Any]) -> None:
    """Raise ValueError if an array holds what no network answers."""
    if array.dtype.kind != ("i" if key in _LIMITS else "f"):
        wanted = "integers" if key in _LIMITS else "floating-point numbers"
        raise ValueError(f"{key} holds {array.dtype.name}; allowed: {wanted}")
    least, most = _LIMITS.get(key, (0, 0))
    for value in (int(array.min()), int(array.max())) if key in _LIMITS and array.size else ():
        if not least <= value <= most:
            raise ValueError(f"{key} has the value {value}; allowed: {least} to {most}")


def write_snapshots(folder: Path, labels: Mapping[str, NDArray[np.int16]]) -> None:
    """Store the answers of a student in the course of its training.

    Args:
        folder: of the record.
        labels: by test set, (snapshots, n) int16 predicted classes.
    """
    with atomic_file(folder / SNAPSHOTS) as file:
        JoinedArrays.of({name: {"label": classes} for name, classes in labels.items()}, images_from="label").write(file)


def read_snapshots(
    folder: Path, record: Record | None = None, end: Predictions | None = None
) -> tuple[Predictions, ...]:
    """Return the answers of a student at each of its snapshots, in order.

    Only predicted classes were stored; confidences and the like are NaN.

    Args:
        folder: of the record.
        record: has the digest of the file; None to read what is there.
        end: the answers at the end of the training; None to read them.

    Raises:
        RecordError: the answers at the end, or those at the snapshots, are missing, damaged or not the ones that the
            record was written with.
    """
    end, path = read_predictions(folder, record) if end is None else end, folder / SNAPSHOTS
    try:
        joined = read_joined(_content(path, record), ["label"])
        _check_snapshots(joined, end)
    except DAMAGES as error:
        reason = f"{error}; {remedy(error, run_again(folder))}"
        raise RecordError(f"{path} cannot be read as snapshots: {reason}") from error
    labels = {name: arrays["label"] for name, arrays in joined.by_set().items()}
    return tuple(
        {name: _at_snapshot(end[name], classes[step]) for name, classes in labels.items()}
        for step in range(len(joined.arrays["label"]))
    )


def _check_snapshots(joined: JoinedArrays, end: Predictions) -> None:
    """Raise ValueError if snapshots do not hold classes of the images that were answered at the end."""
    label = joined.arrays["label"]
    if label.ndim != 2:
        raise ValueError(f"label has the shape {label.shape}; allowed: one row per snapshot")
    _check_numbers("label", label)
    for name, images in joined.images.items():
        answered = len(end[name].target) if name in end else 0
        if images != answered:
            raise ValueError(f"{name!r} has {images} images, but {answered} were answered at the end")


def _at_snapshot(end: SetPredictions, label: NDArray[np.int16]) -> SetPredictions:
    """Return the answers at a snapshot, from those at the end and the predicted classes."""
    unknown = np.full(len(end.target), np.nan, np.float32)
    return replace(end, label=label, confidence=unknown, nll=unknown, brier=unknown, kl=unknown)


def record_folder(results: Path, track: str, run_id: str, testsets_digest: str) -> Path:
    """Return the folder of a run's record; a run that is evaluated on other test sets has another record."""
    return results / track / f"{run_id}-{testsets_digest[:8]}"


def require_records(*results: Path) -> list[Path]:
    """Return what `find_records` returns.

    Raises:
        InputError: there are no records in one of the results folders.
    """
    for folder in results:
        if not find_records(folder):
            raise InputError(f"there are no records in {folder}; `kdbench run` makes some, or name another folder")
    return find_records(*results)


def find_records(*results: Path) -> list[Path]:
    """Return the folders below some results folders that hold a record, sorted within each results folder.

    Of the records of one run, the first is returned.
    """
    by_run: dict[tuple[str, str], Path] = {}
    for root in results:
        for folder in sorted(path for path in root.glob("[!.]*/*") if _may_hold_record(path)):
            by_run.setdefault((folder.parent.name, folder.name), folder)
    return list(by_run.values())


def _may_hold_record(folder: Path) -> bool:
    """Return whether a folder holds a record, or is one that this user may not look into."""
    try:
        return (folder / RESULT).exists()
    except PermissionError:
        return True
