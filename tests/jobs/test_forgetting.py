"""`kdbench forget` removes the records of a method that is not needed any more, and no others."""

import shutil
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.jobs.forgetting import forgettable
from kdbench.records import find_records, read_record
from kdbench.records.current import read_current
from tests.command_line import Command, assert_refused
from tests.record_factory import record_of, write_matrix


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Write records of two methods, two teachers and an independent student."""
    return write_matrix(tmp_path / "runs", methods=("lm", "mine"), directions=("cnn-to-vit",), images=50)


def methods_in(results: Path) -> set[str]:
    return {read_record(folder).method for folder in find_records(results)}


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a folder of the test be that of the official records."""
    monkeypatch.setattr("kdbench.records.official.shipped", lambda *_: tmp_path / "official")
    return tmp_path / "official"


def test_the_records_of_a_method_are_removed_and_all_others_stay(
    folders: list[Path], kdbench: Command, tmp_path: Path
) -> None:
    mine = {*record_of(folders, method="mine")}
    done = kdbench("forget", "mine", "runs", "--yes", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "removed 2 records of mine from runs\n")
    assert set(find_records(tmp_path / "runs")) == {*folders} - mine
    assert methods_in(tmp_path / "runs") == {"teacher", "independent", "lm"}
    assert read_current(tmp_path / "runs").folders == {folder.name for folder in find_records(tmp_path / "runs")}


@pytest.mark.usefixtures("folders")
def test_nothing_is_removed_without_a_yes(kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    done = kdbench("forget", "mine", cwd=tmp_path)
    assert done.returncode == 1
    assert "Remove 2 records of mine from runs?" in done.stdout
    assert "mine" in methods_in(tmp_path / "runs")


def test_official_records_stay(folders: list[Path], official: Path, kdbench: Command, tmp_path: Path) -> None:
    first, second = record_of(folders, method="mine")
    shutil.copytree(first, official / "synthetic" / first.name)
    done = kdbench("forget", "mine", "--yes", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "removed 1 records of mine from runs",
        "1 official records of mine stay in runs",
    ]
    assert (first.exists(), second.exists()) == (True, False)
    again = kdbench("forget", "mine", "--yes", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "1 official records of mine stay in runs\n")


@pytest.mark.usefixtures("folders")
def test_the_folder_of_the_official_records_is_refused(official: Path, kdbench: Command, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "runs", official)
    assert_refused(kdbench("forget", "mine", str(official), "--yes"), "official records, which stay")
    assert "mine" in methods_in(official)


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize("method", ["teacher", "untrained", "independent"])
def test_what_other_rows_are_compared_with_stays(method: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"the records of {method} stay, because other rows are compared with them"):
        forgettable(tmp_path / "runs", method)


def test_one_digest_of_code_can_be_removed_alone(folders: list[Path], tmp_path: Path) -> None:
    mine = [*record_of(folders, method="mine")]
    code = read_record(mine[0]).digests.code
    assert set(forgettable(tmp_path / "runs", "mine", code[:8]).folders) == set(mine)
    with pytest.raises(InputError, match=f"no records of mine with code 0000.*; .* the digests {code[:12]}"):
        forgettable(tmp_path / "runs", "mine", "0000")


@pytest.mark.usefixtures("folders")
def test_an_unknown_method_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no records of yours in .*; there are records of: lm, mine"):
        forgettable(tmp_path / "runs", "yours")
