"""Records that were edited, swapped or copied are named and left out, and all others are scored as without them."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.records import PREDICTIONS, RESULT, WEIGHTS, find_records, read_predictions, read_record
from kdbench.records.arrays import JoinedArrays
from kdbench.records.current import read_current
from kdbench.records.integrity import check_record
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.testsets.spec import load_spec
from tests.hostile.arena import BYSTANDER, PUPIL, Arena, assert_harmless
from tests.time_limits import within_seconds

pytestmark = pytest.mark.slow  # the records come from whole commands
Tampering = Callable[[Path], object]


def edited(**changes: Any) -> Tampering:
    """Return what replaces fields of a record; a dot reaches into an inner one, an underscore pair stands for it."""

    def tamper(folder: Path) -> None:
        values = json.loads((folder / RESULT).read_text())
        for key, value in changes.items():
            *outer, last = key.split("__")
            inner = values
            for name in outer:
                inner = inner[name]
            inner[last] = value
        (folder / RESULT).write_text(json.dumps(values))

    return tamper


def text(content: bytes) -> Tampering:
    """Return what replaces a record by bytes."""
    return lambda folder: (folder / RESULT).write_bytes(content)


AnswersBySet = dict[str, dict[str, Any]]


def answers(change: Callable[[AnswersBySet], object]) -> Tampering:
    """Return what changes the arrays of a record's answers, by test set and key."""

    def tamper(folder: Path) -> None:
        values = {name: dict(vars(part)) for name, part in read_predictions(folder).items()}
        change(values)
        with (folder / PREDICTIONS).open("wb") as file:
            JoinedArrays.of(values, images_from="target").write(file)

    return tamper


def all_right(values: AnswersBySet) -> None:
    """Answer every image as it should be."""
    for part in values.values():
        part["label"] = part["target"].copy()


def array(name: str, key: str, change: Callable[[Any], Any]) -> Tampering:
    """Return what changes one array of a record's answers."""
    return answers(lambda values: values[name].update({key: change(values[name][key])}))


def fewer(values: AnswersBySet) -> None:
    """Keep the first ten answers to each test set."""
    for part in values.values():
        part.update({key: answers_of_set[:10] for key, answers_of_set in part.items()})


def renamed(folder: Path) -> None:
    """Give a record another folder name."""
    folder.rename(folder.with_name("0123456789abcdef-" + folder.name.split("-")[1]))


def replaced(name: str, make: Callable[[Path], object]) -> Tampering:
    """Return what puts something else in the place of a file."""

    def tamper(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return tamper


def bomb(path: Path) -> None:
    """Write an archive of half a gigabyte of zeros that takes half a megabyte."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("label.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "<i2", "fortran_order": False, "shape": (2**28,)})
        zeros = bytes(2**24)
        for _ in range(2**5):
            member.write(zeros)


def pickled(path: Path) -> None:
    """Write an array that is a pickle."""
    with path.open("wb") as file:
        values: dict[str, Any] = {"test_sets": np.array([{"a": 1}], dtype=object)}
        np.savez(file, **values)


def of_another(name: str) -> Tampering:
    """Return what takes a file of another method's record."""

    def tamper(folder: Path) -> None:
        other = next(path for path in find_records(folder.parents[1]) if read_record(path).method == PUPIL)
        shutil.copy(other / name, folder / name)

    return tamper


TAMPERINGS: dict[str, Tampering] = {
    "accuracy": edited(test__clean__macro_accuracy=1.0),
    "images": edited(test__clean__images=1000),
    "all-answers": answers(all_right),
    "one-answer": array("clean", "label", lambda labels: (labels + (np.arange(len(labels)) == 3)) % 10),
    "one-confidence": array("noise", "confidence", lambda values: values * np.float32(0.99)),
    "answers-are-not-numbers": array("clean", "nll", lambda values: values * np.nan),
    "confidence-over-1": array("clean", "confidence", lambda values: values + 1),
    "answers-out-of-range": array("clean", "label", lambda labels: labels + 1000),
    "fewer-answers": answers(fewer),
    "another-set": answers(lambda values: values.update({"new": values["clean"]})),
    "a-set-less": answers(lambda values: values.pop("noise")),
    "answers-of-another": of_another(PREDICTIONS),
    "answers-are-pickles": replaced(PREDICTIONS, pickled),
    "answers-are-a-bomb": replaced(PREDICTIONS, bomb),
    "answers-are-garbage": replaced(PREDICTIONS, lambda path: path.write_bytes(os.urandom(1000))),
    "answers-are-endless": replaced(PREDICTIONS, lambda path: path.symlink_to("/dev/zero")),
    "answers-are-a-fifo": replaced(PREDICTIONS, os.mkfifo),
    "answers-are-a-folder": replaced(PREDICTIONS, Path.mkdir),
    "no-answers": replaced(PREDICTIONS, lambda path: None),
    "run-id": edited(run_id="0123456789abcdef"),
    "folder-name": renamed,
    "seed": edited(seed=1),
    "method": edited(method="champion"),
    "config": edited(config={"x": 1}),
    "code": edited(digests__code="0" * 64),
    "training-digest": edited(digests__training="0" * 64),
    "teacher": edited(teacher_run_id="0123456789abcdef"),
    "direction": edited(direction="cnn-to-vit", family="vit"),
    "role": edited(role="teacher", direction=None, teacher_bias="shape"),
    "control": edited(control=True),
    "numerics": edited(numerics=99),
    "compiled": edited(compiled=True),
    "track-of-another-folder": edited(track="cifar10-32"),
    "no-such-track": edited(track="no-such-track"),
    "failed-with-answers": edited(status="error", reason="odd"),
    "reason-for-terminals": edited(status="error", reason="\x1b[31m\x00", test={}),
    "method-for-terminals": edited(method="a\x1b[31m\n"),
    "number-for-terminals": edited(curves=[{"\x1b[31m": 1.0}]),
    "digest-of-answers": edited(digests__predictions="0" * 64),
    "weights-of-another": of_another(WEIGHTS),
    "record-is-not-json": text(b"\xff" * 100),
    "record-is-empty": text(b""),
    "record-is-deep": text(b"[" * 1_000_000),
    "record-is-not-a-number": text(b"NaN"),
    "record-is-endless": replaced(RESULT, lambda path: path.symlink_to("/dev/zero")),
    "record-is-a-fifo": replaced(RESULT, os.mkfifo),
    "record-is-a-folder": replaced(RESULT, Path.mkdir),
    "record-is-sparse": lambda folder: os.truncate(folder / RESULT, 2**40),
    "unknown-key": edited(extra=1),
    "another-schema": edited(schema_version=99),
}


def scored(arena: Arena, results: Path) -> Scores:
    """Score a results folder in this process, in limited time."""
    with within_seconds(60):
        return score(results, load_spec(arena.spec), current=read_current(results))


@pytest.fixture(scope="module")
def without(arena: Arena) -> Scores:
    """The scores of all records but that of the bystander."""
    results = arena.finished_results()
    shutil.rmtree(folder_of(results, BYSTANDER))
    return scored(arena, results)


def folder_of(results: Path, method: str) -> Path:
    """Return the folder of the first record of a method."""
    return next(folder for folder in find_records(results) if read_record(folder).method == method)


@pytest.fixture(scope="module")
def whole(arena: Arena) -> Path:
    """A results folder in which every record is whole."""
    return arena.finished_results()


@pytest.mark.parametrize("name", TAMPERINGS)
def test_an_edited_record_is_described_in_a_sentence(name: str, whole: Path, tmp_path: Path) -> None:
    for original in (folder_of(whole, method) for method in (BYSTANDER, PUPIL)):
        shutil.copytree(original, tmp_path / "runs" / "synthetic" / original.name)
    folder = tmp_path / "runs" / "synthetic" / folder_of(whole, BYSTANDER).name
    assert not check_record(folder)
    TAMPERINGS[name](folder)
    (edited_folder,) = (path for path in folder.parent.iterdir() if path.name != folder_of(whole, PUPIL).name)
    problems = check_record(edited_folder)
    assert problems
    assert_harmless("; ".join(problems), 5_000)


THROUGHOUT = (
    *("accuracy", "all-answers", "answers-are-a-bomb", "answers-are-endless", "answers-are-a-fifo", "folder-name"),
    *("record-is-deep", "record-is-endless", "record-is-a-fifo", "record-is-sparse", "reason-for-terminals"),
)


@pytest.mark.parametrize("name", THROUGHOUT)
def test_an_edited_record_is_named_and_left_out_of_the_scores(name: str, arena: Arena, without: Scores) -> None:
    results = arena.finished_results()
    folder = folder_of(results, BYSTANDER)
    TAMPERINGS[name](folder)
    scores = scored(arena, results)
    assert scores.boards == without.boards
    (refused,) = scores.refused
    assert refused.record == folder.name or refused.record.startswith("0123456789abcdef")
    assert_harmless(refused.words, 5_000)


def test_a_command_names_an_edited_record_and_scores_the_others(arena: Arena, without: Scores) -> None:
    results = arena.finished_results()
    folder = folder_of(results, BYSTANDER)
    edited(test__clean__macro_accuracy=1.0)(folder)
    finished = arena.command(results, "score", str(results), "--spec", str(arena.spec))
    assert finished.returncode == 0, finished.stderr
    write_scores(without, results / "without.json")
    boards, expected = (json.loads((results / name).read_text())["boards"] for name in ("scores.json", "without.json"))
    assert boards == expected
    assert folder.name in finished.stdout + finished.stderr


def test_an_untouched_record_is_scored(arena: Arena, without: Scores) -> None:
    scores = scored(arena, arena.finished_results())
    assert scores.refused == ()
    assert scores.boards != without.boards


def test_one_record_under_five_seeds_is_not_five_records(arena: Arena) -> None:
    results = arena.finished_results()
    folder = folder_of(results, BYSTANDER)
    for seed in range(1, 5):
        copy = folder.with_name(f"{seed}" * 16 + "-" + folder.name.split("-")[1])
        shutil.copytree(folder, copy)
        edited(seed=seed, run_id=f"{seed}" * 16)(copy)
    scores = scored(arena, results)
    assert len(scores.refused) == 4
    assert all(board.seeds == (0,) for board in scores.boards)


def test_the_students_of_an_edited_teacher_are_left_out_too(arena: Arena) -> None:
    results = arena.finished_results()
    teacher = folder_of(results, "teacher")
    edited(test__clean__macro_accuracy=1.0)(teacher)
    scores = scored(arena, results)
    assert teacher.name in {refused.record for refused in scores.refused}


def with_files(make: Callable[[Path, Path], object], *names: str) -> Callable[[Path, Path], object]:
    """Return what makes a folder, and something of each name in it."""

    def leave(folder: Path, elsewhere: Path) -> None:
        folder.mkdir()
        for name in names:
            make(folder / name, elsewhere)

    return leave


LEAVINGS: dict[str, Callable[[Path, Path], object]] = {
    "a-file": lambda folder, elsewhere: folder.write_text("x"),
    "a-link": Path.symlink_to,
    "a-fifo": lambda folder, elsewhere: os.mkfifo(folder),
    "garbage": with_files(lambda path, _: path.write_bytes(os.urandom(1000)), "checkpoint.pt", "tally.json"),
    "links": with_files(lambda path, place: path.symlink_to(place / "x"), WEIGHTS, "training.json", "log.txt"),
    "folders": with_files(lambda path, _: path.mkdir(), WEIGHTS, "checkpoint.pt", RESULT),
}


@pytest.mark.parametrize("name", LEAVINGS)
def test_what_an_earlier_command_left_in_the_way_of_a_run_changes_nothing_of_it(
    name: str, arena: Arena, tmp_path: Path
) -> None:
    """Neither where a run trains nor where its record goes: the run has its record, or a sentence says why not."""
    name_of_folder = folder_of(arena.finished_results(), BYSTANDER).name
    results = arena.new_results()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for place in (results / "synthetic", results / ".scratch"):
        place.mkdir(exist_ok=True)
        LEAVINGS[name](place / name_of_folder, elsewhere)
    battle = arena.run(results, [arena.method(BYSTANDER)])
    assert not any(elsewhere.iterdir())
    if battle.finished.returncode == 2:
        battle.assert_ended(2)
        return
    battle.assert_nothing_else_is_touched(failures=False)


def test_a_scratch_folder_that_leads_elsewhere_is_refused_or_replaced(arena: Arena, tmp_path: Path) -> None:
    results = arena.new_results()
    shutil.rmtree(results / ".scratch", ignore_errors=True)
    (results / ".scratch").symlink_to(tmp_path)
    battle = arena.run(results, [arena.method(BYSTANDER)])
    if battle.finished.returncode == 2:
        battle.assert_ended(2)
        return
    battle.assert_nothing_else_is_touched(failures=False)
