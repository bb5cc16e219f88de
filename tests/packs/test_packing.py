"""A pack has what another machine needs to go on, and nothing else."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.errors import InputError, WriteError
from kdbench.jobs.lock import sole_user
from kdbench.packs.contents import CONTENTS, read_contents
from kdbench.packs.packing import pack
from kdbench.plan.context import SCRATCH
from kdbench.plan.current import shipped_codes
from kdbench.plan.matrix import NUMERICS_VERSION
from kdbench.records import LOG, PREDICTIONS, RESULT, WEIGHTS
from kdbench.testsets.gallery import GALLERY
from kdbench.training.checkpoints import CHECKPOINT
from kdbench.training.outcome import OUTCOME, TALLY
from tests.packs.results_folders import (
    SPEC,
    TRACK,
    UNFINISHED,
    packed,
    student_of,
    teacher_of,
    write_training,
)


def names_in(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_a_pack_has_records_teachers_and_what_unfinished_trainings_saved(results: Path, tmp_path: Path) -> None:
    (results / "scores.json").write_text("{}")
    names = names_in(packed(results, tmp_path / "board.zip"))
    student, teacher = (f"{TRACK}/{folder.name}" for folder in (student_of(results), teacher_of(results)))
    assert {f"{student}/{RESULT}", f"{student}/{PREDICTIONS}", f"{teacher}/{WEIGHTS}", CONTENTS} < names
    assert f"{student}/{WEIGHTS}" not in names
    assert "scores.json" not in names
    assert {name for name in names if name.startswith(SCRATCH)} == {
        f"{SCRATCH}/{UNFINISHED}.json",
        f"{SCRATCH}/{UNFINISHED}/{CHECKPOINT}",
        f"{SCRATCH}/{UNFINISHED}/{TALLY}",
    }


def test_weights_of_students_are_packed_on_request(results: Path, tmp_path: Path) -> None:
    names = names_in(packed(results, tmp_path / "board.zip", with_weights=True))
    assert f"{TRACK}/{student_of(results).name}/{WEIGHTS}" in names


def test_a_pack_says_of_which_spec_and_code_it_is(results: Path, tmp_path: Path) -> None:
    path = packed(results, tmp_path / "board.zip")
    with zipfile.ZipFile(path) as archive:
        contents = read_contents(archive, path)
    assert contents.numerics == NUMERICS_VERSION
    assert {name: digests.training for name, digests in contents.tracks.items()} == {
        TRACK: SPEC.track(TRACK).training_digest
    }
    assert contents.codes == {name: shipped_codes()[name] for name in ("independent", "lm")}


def test_a_training_that_awaits_its_evaluation_is_packed_as_it_was_left(results: Path, tmp_path: Path) -> None:
    scratch = write_training(results, steps=9, name="a" * 16 + "-52b67082", ended=True)
    folder = results / TRACK / scratch.name
    scratch.rename(folder)  # what a command does before it evaluates
    (folder / WEIGHTS).write_text("weights")
    names = names_in(packed(results, tmp_path / "board.zip"))
    assert {f"{SCRATCH}/{folder.name}/{name}" for name in (OUTCOME, WEIGHTS)} < names
    assert f"{TRACK}/{folder.name}/{WEIGHTS}" not in names


def test_what_a_training_left_beside_a_record_is_not_packed(results: Path, tmp_path: Path) -> None:
    name = student_of(results).name
    write_training(results, steps=9, name=name)
    assert not any(place.startswith(f"{SCRATCH}/{name}") for place in names_in(packed(results, tmp_path / "board.zip")))


def test_links_and_pipes_that_a_training_left_are_not_followed(results: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    scratch = results / SCRATCH / UNFINISHED
    (scratch / LOG).symlink_to(tmp_path / "secret")
    (scratch / TALLY).unlink()
    os.mkfifo(scratch / TALLY)
    (scratch / WEIGHTS).mkdir()
    (results / SCRATCH / ("b" * 16 + "-52b67082")).symlink_to(tmp_path)
    names = names_in(packed(results, tmp_path / "board.zip"))
    assert [name for name in names if name.startswith(f"{SCRATCH}/") and not name.endswith(".json")] == [
        f"{SCRATCH}/{UNFINISHED}/{CHECKPOINT}"
    ]


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("name", [RESULT, PREDICTIONS, WEIGHTS])
def test_a_linked_file_of_a_record_is_not_left_out_without_a_word(
    results: Path, tmp_path: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    path, student = teacher_of(results) / name, student_of(results)
    path.rename(tmp_path / name)
    link(tmp_path / name, path)
    with pytest.raises(InputError, match=f"{name} cannot be packed: it is a link, has a second name, or has more"):
        packed(results, tmp_path / "board.zip")
    path.unlink()
    (tmp_path / name).rename(path)
    (student / WEIGHTS).unlink()
    (student / WEIGHTS).symlink_to("nowhere")  # it is not packed anyway
    assert packed(results, tmp_path / "board.zip").exists()


def test_what_cannot_be_packed_is_refused(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "board.zip"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is nothing to pack in"):
        pack(tmp_path / "empty", path, SPEC)
    with pytest.raises(InputError, match="nowhere is not a folder; name the results folder after the pack"):
        pack(tmp_path / "nowhere", path, SPEC)
    with (
        sole_user(results),
        pytest.raises(InputError, match=r"run is writing to .*; wait until it ends, or choose another folder"),
    ):
        pack(results, path, SPEC)
    with pytest.raises(WriteError, match="cannot write"):
        pack(results, results / TRACK / GALLERY / "board.zip", SPEC)
    assert not path.exists()
