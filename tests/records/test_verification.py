"""A verdict follows from the differences, and stays with the record that it speaks of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.records import Predictions, read_record, write_record
from kdbench.records.frames import load_results
from kdbench.records.integrity import check_record
from kdbench.records.storage import seal_record
from kdbench.records.summary import summarise
from kdbench.records.verification import (
    VERIFICATION,
    Tolerance,
    differences_of,
    read_verification,
    verdict_on,
    write_verification,
)
from tests.examples import a_record, a_verification, some_predictions, store

KEPT = some_predictions(200)
RECORD = a_record(test=summarise(KEPT))
STRICT = Tolerance(accuracy=0.0, answers=0.0)


def with_wrong(count: int) -> Predictions:
    """Return the answers with the first right ones of class 0 wrong."""
    clean = KEPT["clean"]
    label = clean.label.copy()
    label[np.flatnonzero(clean.target == 0)[:count]] = 1
    return {"clean": replace(clean, label=label)}


def test_equal_answers_are_equal_where_both_keep_a_number() -> None:
    blank = replace(KEPT["clean"], confidence=np.full(200, np.nan, np.float32))
    differences = differences_of(RECORD, {"clean": blank}, KEPT)
    assert (differences.accuracy, differences.answers, differences.probability) == (0, 0, 0)
    assert verdict_on(differences, STRICT) == "equal"


@pytest.mark.parametrize(("wrong", "verdict"), [(1, "within tolerance"), (2, "different")])
def test_accuracies_may_differ_by_the_tolerance(wrong: int, verdict: str) -> None:
    differences = differences_of(RECORD, KEPT, with_wrong(wrong))
    assert (differences.accuracy_on, differences.answers_on) == ("clean", "clean")
    assert differences.accuracy == pytest.approx(wrong / 20 / 10)  # of 20 images of one class, of ten classes
    assert differences.answers == pytest.approx(wrong / 200)
    assert verdict_on(differences, Tolerance(accuracy=0.0051, answers=1.0)) == verdict


@pytest.mark.parametrize(("allowed", "verdict"), [(0.5, "within tolerance"), (0.499, "different")])
def test_other_errors_of_the_same_number_are_told_by_the_answers(allowed: float, verdict: str) -> None:
    clean = KEPT["clean"]
    wrong = clean.label != clean.target
    other = replace(clean, label=np.where(wrong, (clean.label + 1) % 10, clean.label).astype(np.int16))
    differences = differences_of(RECORD, KEPT, {"clean": other})
    assert (differences.accuracy, differences.answers) == (0, 0.5)
    assert verdict_on(differences, Tolerance(accuracy=0.0, answers=allowed)) == verdict


@pytest.mark.parametrize("key", ["target", "texture", "index"])
def test_answers_to_other_images_are_other_answers(key: str) -> None:
    other = replace(KEPT["clean"], **{key: (getattr(KEPT["clean"], key) + 1) % 10})
    differences = differences_of(RECORD, {"clean": other}, KEPT)
    assert (differences.answers, differences.identical) == (1.0, False)
    assert verdict_on(differences, Tolerance(accuracy=1.0, answers=0.9)) == "different"


def test_answers_to_fewer_images_are_other_answers() -> None:
    few = some_predictions(100)
    differences = differences_of(a_record(test=summarise(few)), few, KEPT)
    assert (differences.accuracy, differences.answers) == (0, 1.0)
    assert verdict_on(differences, Tolerance(accuracy=0.1, answers=0.9)) == "different"


@pytest.mark.parametrize(
    ("agreement", "verdict"),
    [
        ({}, "equal"),
        ({"weights": True, "counts": True}, "equal"),
        ({"weights": False, "counts": True}, "within tolerance"),
        ({"weights": True, "counts": False}, "different"),
    ],
)
def test_equal_answers_need_equal_weights_and_counts(agreement: dict[str, Any], verdict: str) -> None:
    differences = differences_of(RECORD, KEPT, KEPT).model_copy(update=agreement)
    assert verdict_on(differences, STRICT) == verdict


def test_a_verification_stays_with_its_record_and_does_not_harm_it(tmp_path: Path) -> None:
    folder = store(tmp_path, RECORD, KEPT)
    before, record = check_record(folder), read_record(folder)
    write_verification(folder, a_verification(record, KEPT))
    assert read_verification(folder, record) == a_verification(record, KEPT)
    assert check_record(folder) == before
    assert set(load_results(tmp_path).verified) == {"equal"}


@pytest.mark.parametrize(
    "edit", [{"seed": 1}, {"peak_memory_bytes": 1}, {"method": "crd"}, {"finished": "2026-01-03T00:00:00+00:00"}]
)
def test_a_record_that_is_edited_loses_its_verification(edit: dict[str, Any], tmp_path: Path) -> None:
    folder = store(tmp_path, RECORD, KEPT)
    write_verification(folder, a_verification(read_record(folder), KEPT))
    seal_record(folder, read_record(folder).model_copy(update=edit))
    assert read_verification(folder, read_record(folder)) is None
    assert load_results(tmp_path).verified.isna().all()


def test_a_record_of_other_answers_with_equal_sums_loses_its_verification(tmp_path: Path) -> None:
    folder = store(tmp_path, RECORD, KEPT)
    record = read_record(folder)
    write_verification(folder, a_verification(record, KEPT))
    label = KEPT["clean"].label.copy()
    label[1] = (label[1] + 1) % 10  # as wrong as before
    others = {"clean": replace(KEPT["clean"], label=label)}
    assert summarise(others) == record.test
    write_record(folder, record, others)
    assert read_verification(folder, read_record(folder)) is None


def test_a_record_that_claims_a_digest_gains_no_verification(tmp_path: Path) -> None:
    verified, other = store(tmp_path / "a", RECORD, KEPT), store(tmp_path / "b", RECORD, with_wrong(3))
    write_verification(verified, a_verification(read_record(verified), KEPT))
    shutil.copy2(verified / VERIFICATION, other / VERIFICATION)
    assert read_verification(other, read_record(other)) is None
    fields = json.loads((other / "result.json").read_text())
    fields["digests"]["record"] = read_record(verified).digests.record
    (other / "result.json").write_text(json.dumps(fields))
    assert read_verification(other, read_record(other)) is None


def test_a_damaged_verification_does_not_count_and_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = store(tmp_path, RECORD, KEPT)
    (folder / VERIFICATION).write_text('{"of": 3}')
    assert read_verification(folder, RECORD) is None
    assert f"{folder / VERIFICATION} is not a verification and is not used: key of has the value 3" in caplog.text
