"""The official records are the beginning of a results folder: they score there as they do where they lie."""

import json
import shutil
from pathlib import Path

import pytest

from kdbench.records import WEIGHTS, find_records, read_record
from kdbench.records.current import CURRENT, read_current
from kdbench.scoring.board import score
from leaderboard.collect import collect
from tests.command_line import Command, assert_refused
from tests.packs.results_folders import SPEC, files_of, student_of, teacher_of, write_weights
from tests.record_factory import write_matrix

EARLIER_CODE = "0" * 64


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of official records, which take the place of those that ship."""
    write_matrix(tmp_path / "full", directions=("vit-to-cnn",), images=90)
    collect(tmp_path / "full", tmp_path / "official")
    lists = tmp_path / "official" / CURRENT
    fields = json.loads(lists.read_text())
    fields["codes"]["lm"].append(EARLIER_CODE)
    lists.write_text(json.dumps(fields))
    monkeypatch.setattr("kdbench.packs.copying.official_folder", lambda: tmp_path / "official")
    return tmp_path / "official"


def test_the_copy_scores_as_the_official_records_do(kdbench: Command, official: Path, tmp_path: Path) -> None:
    done = kdbench("results", "copy", "runs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "merged the official records into runs: 5 records and 0 unfinished trainings are new" in done.stdout
    runs = tmp_path / "runs"
    assert read_current(runs) == read_current(official)
    assert EARLIER_CODE in read_current(runs).codes["lm"]
    assert score(runs, SPEC, current=read_current(runs)) == score(official, SPEC, current=read_current(official))


def test_own_records_stay_and_a_second_copy_changes_nothing(kdbench: Command, official: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    own = write_matrix(runs, methods=("crd",), directions=("cnn-to-vit",), images=90)
    assert kdbench("results", "copy", "runs", cwd=tmp_path).returncode == 0
    assert len(find_records(runs)) == len(own) + 5
    before = files_of(runs)
    assert "0 records and 0 unfinished trainings are new, 5 records" in kdbench("results", "copy", "runs").stdout
    assert files_of(runs) == before


def test_an_own_record_of_an_official_run_stays_and_is_named(kdbench: Command, official: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(tmp_path / "full", tmp_path / "runs")
    own = write_weights(student_of(runs), "weights of another training")
    done = kdbench("results", "copy", "runs", cwd=tmp_path)
    assert f"has other records than the official records of 1 runs, and they stay; first: {own.run_id}" in done.stderr
    assert read_record(student_of(runs)) == own


def test_an_own_teacher_of_official_runs_is_not_mixed_with_them(
    kdbench: Command, official: Path, tmp_path: Path
) -> None:
    runs = shutil.copytree(tmp_path / "full", tmp_path / "runs")
    write_weights(teacher_of(runs), "weights of another training")
    assert_refused(kdbench("results", "copy", "runs", cwd=tmp_path), "with other weights than runs has")


def test_without_official_records_one_sentence_says_so(
    kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.packs.copying.official_folder", lambda: tmp_path / "none")
    refused = kdbench("results", "copy", "runs", cwd=tmp_path)
    assert_refused(refused, "no official records ship with kdbench", "`kdbench run` makes your own")
    assert not list(tmp_path.iterdir())


def test_the_official_folder_itself_is_no_destination(kdbench: Command, official: Path) -> None:
    before = files_of(official)
    assert_refused(kdbench("results", "copy", str(official)), "holds the official records themselves")
    assert files_of(official) == before


def test_a_copied_teacher_keeps_the_weights_that_it_has_here(kdbench: Command, official: Path, tmp_path: Path) -> None:
    kdbench("results", "copy", "runs", cwd=tmp_path)
    weights = teacher_of(tmp_path / "runs") / WEIGHTS
    weights.write_text("trained again")
    kdbench("results", "copy", "runs", cwd=tmp_path)
    assert weights.read_text() == "trained again"
