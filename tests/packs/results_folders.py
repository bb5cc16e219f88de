"""Results folders to pack, and packs that somebody has changed."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.packs.contents import CONTENTS
from kdbench.packs.packing import pack
from kdbench.plan.context import SCRATCH
from kdbench.records import WEIGHTS, Record, find_records, read_record
from kdbench.records.storage import seal_record
from kdbench.testsets.gallery import GALLERY
from kdbench.testsets.spec import load_spec
from kdbench.training.checkpoints import CHECKPOINT
from kdbench.training.outcome import OUTCOME, TALLY, TrainingOutcome, write_outcome
from tests.record_factory import write_matrix

SPEC = load_spec()
TRACK = "synthetic"
UNFINISHED = "0123456789abcdef-52b67082"


def write_results(folder: Path, **matrix: Any) -> Path:
    """Write a results folder: two teachers and three students with weights, a gallery and an unfinished training."""
    for record_folder in write_matrix(folder, directions=("vit-to-cnn",), images=90, **matrix):
        write_weights(record_folder, f"weights of {record_folder.name}")
    np.savez_compressed(folder / TRACK / GALLERY, clean=np.zeros((1, 2, 2, 3), np.uint8), targets=[0], classes=["a"])
    write_training(folder, steps=7)
    return folder


def write_weights(folder: Path, weights: str) -> Record:
    """Put a file of weights beside a record, and let the record have it."""
    (folder / WEIGHTS).write_text(weights)
    record = read_record(folder)
    digests = record.digests.model_copy(update={"weights": weights})
    seal_record(folder, record.model_copy(update={"digests": digests}))
    return read_record(folder)


def write_training(results: Path, *, steps: int, name: str = UNFINISHED, ended: bool = False) -> Path:
    """Write what a training has saved that is not done, or not evaluated."""
    scratch = results / SCRATCH / name
    (scratch / "tmp").mkdir(parents=True)
    (scratch / "tmp" / "cache").write_text("of a library")
    (scratch / CHECKPOINT).write_text(f"after {steps} steps")
    counted = TrainingOutcome(status="ok" if ended else "error")
    budget = counted.budget.model_copy(update={"steps": steps})
    write_outcome(scratch, counted.model_copy(update={"budget": budget}), OUTCOME if ended else TALLY)
    scratch.with_name(f"{name}.json").write_text("{}")
    return scratch


def packed(results: Path, path: Path, **options: Any) -> Path:
    """Pack a results folder and return the path of the pack."""
    pack(results, path, SPEC, **options)
    return path


def files_of(results: Path) -> dict[str, bytes]:
    """Return the bytes of all files of a results folder but those that a command writes anew, by their place."""
    paths = [path for path in results.rglob("*") if path.is_file() and path.name not in (".lock", "current.json")]
    return {str(path.relative_to(results)): path.read_bytes() for path in paths}


def student_of(results: Path) -> Path:
    """Return the folder of a student's record."""
    return next(folder for folder in find_records(results) if read_record(folder).role == "student")


def teacher_of(results: Path) -> Path:
    """Return the folder of a teacher's record."""
    return next(folder for folder in find_records(results) if read_record(folder).role == "teacher")


def rewritten(
    path: Path,
    *,
    listed: Callable[[dict[str, Any]], object] = lambda contents: None,
    members: Mapping[str | zipfile.ZipInfo, bytes] | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """Write a pack again with a changed list, and with more members."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    fields = json.loads(contents.pop(CONTENTS))
    listed(fields)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in [*contents.items(), *(members or {}).items()]:
            archive.writestr(name, content)
        archive.writestr(CONTENTS, json.dumps(fields))
    return path
