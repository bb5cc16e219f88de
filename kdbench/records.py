"""A run's record: its schema, and the one place that reads and writes it.

A record is a folder `RESULTS/TRACK/RUN-TESTSETS/` with `result.json` (this schema) and `predictions.npz` (every
answer on every test set); a control that is evaluated along its training has `snapshots.npz`, too. Weights, logits,
occlusion maps and the log lie beside them while they are kept; nothing that is scored depends on those.
"""

import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from kdbench.errors import RecordError, WriteError
from kdbench.spec import Direction, Family, TeacherBias

SCHEMA_VERSION: Final = 1
RESULT, PREDICTIONS, SNAPSHOTS, WEIGHTS, LOGITS, OCCLUSION, LOG = (
    "result.json",
    "predictions.npz",
    "snapshots.npz",
    "weights.safetensors",
    "logits.npz",
    "occlusion.npz",
    "log.txt",
)

Status = Literal["ok", "diverged", "timeout", "oom", "error", "over_budget"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(_Frozen):
    """What the harness counted: updates of the student, examples drawn, images through each network."""

    steps: int = 0
    examples: int = 0
    prepare_examples: int = 0
    student_forward_images: int = 0
    student_backward_images: int = 0
    teacher_forward_images: int = 0


class Timing(_Frozen):
    """Seconds of wall time; `training` is the sum of the parts before it and of all else in the loop."""

    data: float = 0.0
    teacher: float = 0.0
    student: float = 0.0
    method: float = 0.0
    prepare: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0
    epochs: tuple[float, ...] = ()


class Environment(_Frozen):
    """Where a run was made."""

    kdbench: str
    python: str
    torch: str
    timm: str
    numpy: str
    platform: str
    processor: str
    device: str
    device_class: Literal["cpu-float32", "cuda-bfloat16", "cuda-float32", "cpu-bfloat16"]
    threads: int
    commit: str | None = None
    command: str = ""


class Digests(_Frozen):
    """SHA-256 of what went in and came out."""

    training: str
    testsets: str
    code: str
    weights: str | None = None
    arrays: dict[str, str] = {}


class SetResult(_Frozen):
    """A test set in two numbers; the answers themselves are in the predictions."""

    images: int
    macro_accuracy: float


class Snapshot(_Frozen):
    """A student on its way: after `step` updates. What it answered is beside the predictions."""

    step: int
    test: dict[str, SetResult]


OCCLUSION_UNDEFINED = "occlusion_undefined"
OCCLUSION_ON_OBJECT = "occlusion_on_object"
LIKENESS = (
    "cka",
    "occlusion_correlation",
    "occlusion_correlation_off_centre",
    "occlusion_overlap",
    OCCLUSION_UNDEFINED,
)


def beside(name: str, bias: TeacherBias) -> str:
    """What `Record.scalars` calls a number of a student beside the teacher of a bias: `cka_to_shape`."""
    return f"{name}_to_{bias}"


class Record(_Frozen):
    """Everything that is kept of one run.

    Attributes:
        run_id: digest of what decides the weights.
        role: teachers are runs of their own.
        family: of the network that was trained and scored.
        direction: None for teachers.
        teacher_bias: a teacher's own bias, or that of the student's teacher; None for independent.
        method: submission name; "teacher" for teachers.
        reason: why the status is not "ok", in words.
        unofficial: why the run cannot be ranked; empty for an official run.
        curves: for each epoch, mean of each loss term and logged number (`train_accuracy`, `learning_rate`,
            `seconds`, ...).
        control: a control arm or its teacher: shown beside the methods, never ranked and in no family of tests. The
            `teacher_bias` of a random teacher and of its students says whose place it takes.
        scalars: numbers of a student beside each teacher of its seed, by `beside` of the names that
            `kdbench.similarity` documents, and the network's own.
        snapshots: of a control that is evaluated along its training, the last one at its end; else empty.
        compiled: trained through torch.compile, which rounds otherwise: a row of its own.
        numerics: `NUMERICS_VERSION` of the harness that trained it.
        finished: when it was written, UTC, as ISO 8601 with seconds: of two runs of a seed, the later counts.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    role: Literal["teacher", "student"]
    track: str
    family: Family
    direction: Direction | None
    teacher_bias: TeacherBias | None
    method: str
    config: dict[str, Any]
    seed: int
    teacher_run_id: str | None
    status: Status
    reason: str = ""
    unofficial: tuple[str, ...] = ()
    digests: Digests
    environment: Environment
    budget: Budget = Budget()
    timing: Timing = Timing()
    peak_memory_bytes: int = 0
    parameters: int = 0
    curves: tuple[dict[str, float], ...] = ()
    test: dict[str, SetResult] = {}
    control: bool = False
    scalars: dict[str, float] = {}
    snapshots: tuple[Snapshot, ...] = ()
    compiled: bool = False
    numerics: int
    finished: str

    @property
    def official(self) -> bool:
        return not self.unofficial


@dataclass(frozen=True)
class SetPredictions:
    """The answers on one test set of n images.

    Attributes:
        index: (n,) int32, the position in the clean set of the image that this one was made from; -1 for none.
        target: (n,) int16, the right class (the shape's class on cue-conflict).
        texture: (n,) int16, the texture's class on cue-conflict, else equal to `target`.
        label: (n,) int16, the predicted class.
        confidence: (n,) float32, probability of the predicted class.
        nll: (n,) float32, -log p(target), nats.
        brier: (n,) float32, sum over classes of the squared error, 0 to 2.
        kl: (n,) float32, KL(teacher || student), nats; NaN without a teacher.
    """

    index: NDArray[np.int32]
    target: NDArray[np.int16]
    texture: NDArray[np.int16]
    label: NDArray[np.int16]
    confidence: NDArray[np.float32]
    nll: NDArray[np.float32]
    brier: NDArray[np.float32]
    kl: NDArray[np.float32]


_ARRAYS = tuple(SetPredictions.__dataclass_fields__)
DAMAGES = (OSError, KeyError, ValueError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error)  # of an npz file
_LEAST = {"index": -1, "target": 0, "texture": 0, "label": 0}
Predictions = dict[str, SetPredictions]


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `path` whole or not at all, flushed to the disk before it does.

    Raises:
        WriteError: the folder cannot be written or the disk is full; whatever lay at `path` is untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            yield file
            file.flush()
            os.fchmod(file.fileno(), _permissions())
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise WriteError.at(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _permissions() -> int:
    """What an ordinary new file would get; temporary files are readable by their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


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
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise RecordError(
            f"{path} is not a record of schema {SCHEMA_VERSION}: {key}: {first['msg']}; delete it to run again"
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
