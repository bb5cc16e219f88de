"""What does not fit in a record is named in words; an unchanged copy of a complete record is complete, too."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.records import LOG, PREDICTIONS, RESULT, WEIGHTS, read_predictions, read_record, write_record
from kdbench.records.identity import identity_of
from kdbench.records.integrity import check_record
from kdbench.records.storage import seal_record
from kdbench.resources import shipped
from tests.record_factory import record_of, write_matrix

OFFICIAL = shipped("leaderboard", "results", "synthetic")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An lm student with weights and a log in the folder of its record."""
    folder = next(record_of(write_matrix(tmp_path, directions=("cnn-to-vit",), images=20), method="lm"))
    (folder / WEIGHTS).write_bytes(b"weights")
    (folder / LOG).write_text("log")
    seal_record(folder, read_record(folder))
    return folder


def edited(folder: Path, **fields: Any) -> None:
    """Edit the text of a record by hand."""
    raw = json.loads((folder / RESULT).read_text())
    (folder / RESULT).write_text(json.dumps(raw | fields))


def endless(path: Path) -> None:
    """Put a link to a device that never ends in the place of a file."""
    path.unlink()
    path.symlink_to("/dev/zero")


def with_other_answers(folder: Path) -> None:
    """Write other answers, whose digest fits, below the old summary."""
    predictions = read_predictions(folder)
    wrong = replace(predictions["clean"], label=(predictions["clean"].target + 1).astype(np.int16) % 10)
    write_record(folder, read_record(folder), predictions | {"clean": wrong})


def test_a_record_is_complete_where_it_was_written_and_where_it_is_copied_to(folder: Path, tmp_path: Path) -> None:
    assert check_record(folder) == []
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / folder.parent.name / folder.name)
    assert check_record(copy) == []


def test_weights_and_log_may_be_deleted(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / LOG).unlink()
    assert check_record(folder) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: edited(f, seed=9), r"result.json was changed after it was written"),
        (lambda f: edited(f, seed=9), r"the run id \w+ is not that of its fields"),
        (lambda f: edited(f, teacher_bias="natural", dose=0.5), "its dose is 0.5, and its teacher_bias is natural"),
        (lambda f: edited(f, run_id="0123456789abcdef"), "the run id 0123456789abcdef is not that of its fields"),
        (lambda f: edited(f, peak_memory_bytes=1), "result.json was changed"),
        (lambda f: edited(f, test={}), "its status is ok, and it has the results of 0 test sets"),
        (lambda f: edited(f, limit_train=10), "it is called official, but its training set was limited to 10 images"),
        (lambda f: edited(f, control=True), "control is True, and control_terms is None"),
        (lambda f: edited(f, family="cnn"), "its family is cnn, and its direction is cnn-to-vit"),
        (lambda f: edited(f, colour="red"), "unknown key colour"),
        (lambda f: (f / WEIGHTS).write_bytes(b"others!"), r"weights\.safetensors was changed after its record"),
        (lambda f: (f / LOG).write_text("other"), r"log\.txt was changed after its record"),
        (lambda f: (f / PREDICTIONS).write_bytes(b"PK"), r"predictions\.npz was changed after its record"),
        (lambda f: (f / PREDICTIONS).unlink(), r"predictions\.npz cannot be read"),
        (lambda f: endless(f / PREDICTIONS), r"predictions\.npz cannot be read as predictions: .*not a regular file"),
        (lambda f: endless(f / RESULT), r"result\.json cannot be read: it is not a regular file"),
        (lambda f: endless(f / WEIGHTS), r"weights\.safetensors is not a regular file"),
        (with_other_answers, r"the macro accuracy on clean is 0\.\d+, but by predictions\.npz it is 0\.0000"),
    ],
    ids=[
        *(
            "seed",
            "seed against run id",
            "dose",
            "run id",
            "memory",
            "no results",
            "limited training set",
            "no control terms",
        ),
        *("family", "unknown key", "weights", "log", "predictions", "no predictions"),
        *("endless predictions", "endless record", "endless weights", "answers"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, change: Callable[[Path], object], reason: str) -> None:
    change(folder)
    problems = "\n".join(check_record(folder))
    assert re.search(reason, problems), problems


def test_a_record_in_a_folder_of_another_name_does_not_fit(folder: Path) -> None:
    moved = folder.rename(folder.with_name("copy"))
    (problem,) = check_record(moved)
    assert problem == f"it lies in synthetic/copy, but a record with its fields belongs into synthetic/{folder.name}"


@pytest.mark.skipif(not OFFICIAL.exists(), reason="there are no official records of this version yet")
def test_the_run_id_of_every_official_record_follows_from_its_fields() -> None:
    records = [read_record(path.parent) for path in OFFICIAL.glob(f"*/{RESULT}")]
    assert records
    assert all(record.run_id == identity_of(record).run_id for record in records)
