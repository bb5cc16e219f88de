"""Records as a data frame: one row per record and test set, failures included."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.records import SetResult
from kdbench.records.frames import RESULT_COLUMNS, load_results
from tests.examples import a_record, store


def test_there_is_a_row_per_record_and_test_set(tmp_path: Path) -> None:
    results = {"clean": SetResult(images=20, macro_accuracy=0.9), "noise": SetResult(images=10, macro_accuracy=0.5)}
    folder = store(tmp_path, a_record(test=results, seed=3, unofficial=("--epochs 1", "--limit-test 20")))
    frame = load_results(tmp_path)
    assert tuple(frame.columns) == RESULT_COLUMNS
    assert frame[["test_set", "images", "macro_accuracy"]].to_numpy().tolist() == [
        ["clean", 20, 0.9],
        ["noise", 10, 0.5],
    ]
    assert set(frame.seed) == {3}
    assert set(frame.unofficial) == {"--epochs 1, --limit-test 20"}
    assert not frame.official.any()
    assert set(frame.folder) == {str(folder)}


def test_a_failed_run_has_one_row_without_a_test_set(tmp_path: Path) -> None:
    store(tmp_path, a_record(status="diverged", reason="loss is not finite", test={}), {})
    (row,) = load_results(str(tmp_path)).to_dict("records")
    assert (row["status"], row["reason"]) == ("diverged", "loss is not finite")
    assert load_results(tmp_path)[["test_set", "images", "macro_accuracy"]].isna().all(axis=None)


def test_several_folders_make_one_frame_and_a_shared_record_is_in_it_once(tmp_path: Path) -> None:
    for folder, seeds in (("mine", (0, 1)), ("official", (1, 2))):
        for seed in seeds:
            store(tmp_path / folder, a_record(run_id=f"{seed:016x}", seed=seed))
    assert sorted(load_results(tmp_path / "mine", tmp_path / "official").seed.unique()) == [0, 1, 2]


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no records in"):
        load_results(tmp_path)
