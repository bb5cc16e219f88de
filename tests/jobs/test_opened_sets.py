"""A process that evaluates many runs gives each the record that a fresh process would give it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.errors import DataError
from kdbench.jobs.child import work
from kdbench.jobs.job import Job
from kdbench.jobs.opened_sets import OpenedSets
from kdbench.plan.matrix import PlannedRun
from kdbench.records import LOG, LOGITS, PREDICTIONS, RESULT, Timing, read_record
from tests.jobs.small_jobs import context_in, silent, small
from tests.planned_runs import expanded, submission


def essence(folder: Path) -> tuple[str, bytes, bytes]:
    """Return what an evaluation wrote, without times and what depends on them."""
    record = read_record(folder)
    files = {name: digest for name, digest in record.digests.files.items() if name != LOG}
    digests = record.digests.model_copy(update={"files": files, "record": None})
    untimed = record.model_copy(update={"timing": Timing(), "finished": "", "digests": digests})
    return untimed.model_dump_json(), (folder / PREDICTIONS).read_bytes(), (folder / LOGITS).read_bytes()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[PlannedRun], Path]:
    """Return a teacher, its student and a student without a teacher, all trained, and where they are."""
    place = tmp_path_factory.mktemp("trained")
    runs = expanded(
        submission("lm"), submission("independent", uses_teacher=False), track=small(), directions=("cnn-to-vit",)
    )
    student = next(run for run in runs if run.teacher)
    alone = next(run for run in runs if run.role == "student" and run.teacher is None)
    assert student.teacher
    chosen = [student.teacher, student, alone]
    for run in chosen:
        work(Job("train", run, context_in(place)), silent)
        work(Job("evaluate", run, context_in(place)), silent)
        assert read_record(context_in(place).folder(run)).status == "ok"
    return chosen, place


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 0, 2)], ids=str)
def test_a_record_is_the_same_whatever_was_evaluated_before(
    order: tuple[int, ...], trained: tuple[list[PlannedRun], Path], tmp_path: Path
) -> None:
    runs, place = trained
    context, opened = context_in(tmp_path), OpenedSets()
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    for number in order:
        work(Job("evaluate", runs[number], context), silent, opened=opened)
    for run in runs:
        assert essence(context.folder(run)) == essence(context_in(place).folder(run))


def test_sets_are_verified_once_while_their_files_stay_as_they_are(tmp_path: Path) -> None:
    context, opened = context_in(tmp_path), OpenedSets()
    _, first = opened.open(small(), context)
    assert opened.open(small(), context)[1] is first
    (images,) = tmp_path.rglob("clean-*/images.npy")
    content = images.read_bytes()
    images.write_bytes(content)
    _, again = opened.open(small(), context)
    assert again is not first
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{images} has the sha256 .* move {images.parent} elsewhere to build it again"):
        opened.open(small(), context)


def test_another_track_gets_sets_of_its_own(tmp_path: Path) -> None:
    context, opened = context_in(tmp_path), OpenedSets()
    track = small()
    clean = track.model_copy(update={"test_sets": track.primary_sets("clean")})
    assert list(opened.open(track, context)[1]) == ["clean", "noise"]
    assert list(opened.open(clean, context)[1]) == ["clean"]
    assert list(opened.open(track, context)[1]) == ["clean", "noise"]


def saying(word: bytes) -> Callable[[int, int], None]:
    """Return a progress that prints a word, below what pytest captures."""

    def progress(_done: int, _total: int) -> None:
        os.write(1, word)

    return progress


def test_what_an_evaluation_prints_is_in_the_log_after_what_the_training_printed(tmp_path: Path) -> None:
    run, context = expanded(submission("lm"), track=small(), directions=("vit-to-cnn",))[0], context_in(tmp_path)
    work(Job("train", run, context), saying(b"trains "))
    work(Job("evaluate", run, context), saying(b"evaluates "))
    words = (context.folder(run) / LOG).read_text().split()
    assert words[0] == "trains"
    assert words[-1] == "evaluates"
    assert (context.folder(run) / RESULT).exists()
