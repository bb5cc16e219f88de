"""Of the records that two results folders hold of one run, the first counts; a sentence says where they differ."""

import shutil
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.records import SetResult, find_records, read_record, require_records
from kdbench.records.repeats import contradictions
from kdbench.records.storage import seal_record
from tests.examples import a_record, store


@pytest.fixture
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return two results folders with the same record."""
    store(tmp_path / "mine", a_record(test={"clean": SetResult(images=20, macro_accuracy=0.5)}))
    shutil.copytree(tmp_path / "mine", tmp_path / "official")
    return tmp_path / "mine", tmp_path / "official"


def change(results: Path, **fields: object) -> Path:
    """Write the record in a results folder again with other fields, and return its folder."""
    (folder,) = find_records(results)
    seal_record(folder, read_record(folder).model_copy(update=fields))
    return folder


def test_the_same_record_in_two_folders_is_found_once(two_folders: tuple[Path, Path]) -> None:
    mine, _ = two_folders
    assert require_records(*two_folders) == find_records(mine)
    assert not list(contradictions(two_folders))
    assert not list(contradictions((mine, mine)))


def test_a_repeated_run_with_the_same_outcome_contradicts_nothing(two_folders: tuple[Path, Path]) -> None:
    change(two_folders[1], finished="2026-02-02T00:00:00+00:00")
    assert not list(contradictions(two_folders))


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"status": "oom", "reason": "no memory"}, "outcomes, ok and oom"),
        ({"digests": {"weights": "0" * 64}}, "weights"),
        ({"test": {"clean": SetResult(images=20, macro_accuracy=0.75)}}, "accuracies"),
    ],
)
def test_records_of_one_run_that_differ_are_both_named(
    two_folders: tuple[Path, Path], fields: dict[str, object], difference: str
) -> None:
    mine, official = two_folders
    (first,) = find_records(mine)
    if digests := fields.get("digests"):
        assert isinstance(digests, dict)
        fields = {"digests": read_record(first).digests.model_copy(update=digests)}
    second = change(official, **fields)
    (((folder, _), sentence),) = contradictions(two_folders)
    assert folder == second
    assert sentence == (
        f"{first / 'result.json'} and {second / 'result.json'} are records of one run with different {difference}; "
        "the first one counts"
    )


def test_a_record_that_cannot_be_read_contradicts_nothing(two_folders: tuple[Path, Path]) -> None:
    (folder,) = find_records(two_folders[1])
    (folder / "result.json").write_text("{")
    assert not list(contradictions(two_folders))


def test_each_results_folder_must_have_records(two_folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no records in {tmp_path / 'nowhere'}"):
        require_records(*two_folders, tmp_path / "nowhere")
