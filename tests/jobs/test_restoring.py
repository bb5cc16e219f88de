"""Teachers that have a record but no weights, as those of a copied board, are trained again and teach a new method."""

import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.jobs.invocation import run
from kdbench.jobs.restoring import TEACHERS
from kdbench.plan.options import RunOptions
from kdbench.records import LOGITS, RESULT, WEIGHTS, Record, find_records, read_record
from kdbench.records.restored import RESTORED, read_restored
from kdbench.records.storage import seal_record
from tests.jobs.small_jobs import an_independent_in

pytestmark = pytest.mark.slow


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    """Run two teachers and an independent student, and remove all weights and logits, as a copied board has none."""
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    options = an_independent_in(tmp_path / "runs")
    run(options, Console(quiet=True))
    for folder in find_records(options.out):
        for name in (WEIGHTS, LOGITS):
            (folder / name).unlink(missing_ok=True)
    return replace(options, methods=("lm",))


def teachers_in(results: Path) -> dict[Path, Record]:
    records = {folder: read_record(folder) for folder in find_records(results)}
    return {folder: record for folder, record in records.items() if record.role == "teacher"}


def test_missing_teachers_are_trained_again_and_their_records_stay(options: RunOptions) -> None:
    before = {folder: (folder / RESULT).read_bytes() for folder in find_records(options.out)}
    text = StringIO()
    run(options, Console(file=text, width=200))
    assert {folder: (folder / RESULT).read_bytes() for folder in before} == before
    teachers = teachers_in(options.out)
    assert all((folder / WEIGHTS).exists() and not (folder / RESTORED).exists() for folder in teachers)
    assert "Teachers without weights: 2. They are trained again; their records stay as they are." in text.getvalue()
    students = [record for record in map(read_record, find_records(options.out)) if record.method == "lm"]
    assert {(student.status, student.teacher_run_id) for student in students} == {
        ("ok", teacher.run_id) for teacher in teachers.values()
    }
    assert not (options.out / TEACHERS).exists()


def test_weights_that_differ_from_the_record_are_named_and_teach(options: RunOptions) -> None:
    teachers = teachers_in(options.out)
    for folder, record in teachers.items():  # as if another machine had made the records
        digests = record.digests.model_copy(update={"weights": "0" * 64})
        seal_record(folder, record.model_copy(update={"digests": digests}))
    before = teachers_in(options.out)
    text = StringIO()
    run(options, Console(file=text, width=200))
    assert teachers_in(options.out) == before
    for folder, record in before.items():
        restored = read_restored(folder, record)
        assert restored is not None
        assert (restored.weights, restored.accuracy) == (teachers[folder].digests.weights, 0.0)
    assert text.getvalue().count("the second training gave other weights than the record has") == len(before) == 2
    assert "macro accuracies differ by at most 0.0000." in text.getvalue()
    done = {record.status for record in map(read_record, find_records(options.out)) if record.method == "lm"}
    assert done == {"ok"}
    shutil.rmtree(options.out / "synthetic" / next(f.name for f in find_records(options.out) if f not in before))
    run(options, Console(quiet=True))
    assert teachers_in(options.out) == before
