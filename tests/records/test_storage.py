"""Records survive what disks and people do to them."""

import codecs
import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from kdbench.errors import RecordError, WriteError
from kdbench.records import (
    PREDICTIONS,
    RESULT,
    SNAPSHOTS,
    Record,
    SetResult,
    find_records,
    read_predictions,
    read_record,
    read_snapshots,
    record_folder,
    write_record,
    write_snapshots,
)
from tests.examples import a_record, some_predictions, store, unsealed


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = a_record(curves=({"loss": 0.1 + 0.2},), unofficial=("--epochs 1",))
    assert unsealed(read_record(store(tmp_path, record))) == record


def test_a_record_that_an_editor_has_marked_as_unicode_is_read(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record())
    record, content = read_record(folder), (folder / RESULT).read_bytes()
    (folder / RESULT).write_bytes(codecs.BOM_UTF8 + content)
    assert read_record(folder) == record


def test_a_folder_that_nobody_else_may_read_is_found_and_said_to_be_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stat = store(tmp_path, a_record()), os.stat

    def forbidden(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if isinstance(path, Path) and path.parent == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", forbidden)
    assert find_records(tmp_path) == [folder]
    with pytest.raises(RecordError, match=r"result.json cannot be read: Permission denied; let this user read it"):
        read_record(folder)


def test_a_record_that_says_nothing_of_compiling_was_not_compiled(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record(compiled=True))
    assert read_record(folder).compiled
    written = json.loads((folder / RESULT).read_text())
    del written["compiled"]
    (folder / RESULT).write_text(json.dumps(written))
    assert not read_record(folder).compiled


@pytest.mark.parametrize("execution", ["captured", "eager: the step waits for the device at a.py:7"])
def test_a_record_says_how_its_steps_ran(tmp_path: Path, execution: str) -> None:
    folder = store(tmp_path, a_record(execution=execution))
    assert read_record(folder).execution == execution
    written = json.loads((folder / RESULT).read_text())
    del written["execution"]
    (folder / RESULT).write_text(json.dumps(written))
    assert read_record(folder).execution == "eager"


@pytest.mark.parametrize("execution", ["eager: " + 300 * "x", "eager\n", "eager: \x1b[2J", "eager: \u202e"])
def test_a_text_about_steps_that_is_long_or_has_control_characters_is_refused(execution: str) -> None:
    with pytest.raises(ValidationError, match="must be one line of at most 300 characters"):
        a_record(execution=execution)


def test_predictions_are_read_bit_for_bit(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record(), some_predictions())
    written, read = some_predictions()["clean"], read_predictions(folder)["clean"]
    for name in written.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        assert getattr(read, name).dtype == getattr(written, name).dtype


def test_a_failed_run_has_a_record_without_predictions(tmp_path: Path) -> None:
    write_record(tmp_path / "run", a_record(status="oom", reason="over 16 GiB", test={}), {})
    assert read_record(tmp_path / "run").status == "oom"
    assert not (tmp_path / "run" / PREDICTIONS).exists()


def test_an_override_makes_a_record_unofficial() -> None:
    assert a_record().official
    assert not a_record(unofficial=("--epochs 1",)).official


def test_records_are_found_by_their_result_file_alone(tmp_path: Path) -> None:
    complete = store(tmp_path, a_record(run_id="complete"))
    unfinished = store(tmp_path, a_record(run_id="unfinished"))
    (unfinished / RESULT).unlink()
    assert find_records(tmp_path) == [complete]


def test_the_same_run_on_other_test_sets_is_another_record(tmp_path: Path) -> None:
    assert record_folder(tmp_path, "synthetic", "run", "a" * 64) != record_folder(
        tmp_path, "synthetic", "run", "b" * 64
    )


def test_a_full_disk_keeps_the_old_record_and_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store(tmp_path, a_record())
    files = sorted(folder.iterdir())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=rf"{folder / RESULT}: No space left .*; free space or choose") as caught:
        write_record(folder, a_record(seed=99), {})
    assert caught.value.exit_code == 2
    assert read_record(folder).seed == 0
    assert sorted(folder.iterdir()) == files


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        (json.dumps({**json.loads(a_record().model_dump_json()), "status": "fine"}), "status"),
        (json.dumps({**json.loads(a_record().model_dump_json()), "colour": "red"}), "colour"),
    ],
)
def test_a_damaged_record_is_refused_with_file_and_key(tmp_path: Path, text: str, reason: str) -> None:
    folder = store(tmp_path, a_record())
    (folder / RESULT).write_text(text)
    with pytest.raises(RecordError, match=reason) as caught:
        read_record(folder)
    assert str(folder / RESULT) in str(caught.value)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no record"):
        read_record(tmp_path)


def test_predictions_with_a_flipped_byte_are_refused(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record())
    bytes_ = bytearray((folder / PREDICTIONS).read_bytes())
    bytes_[100] ^= 0xFF  # inside the first array, behind its header
    (folder / PREDICTIONS).write_bytes(bytes_)
    with pytest.raises(RecordError, match=r"move .* out of the results folder"):
        read_predictions(folder)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_truncated_predictions_are_refused(tmp_path: Path, share: float) -> None:
    folder = store(tmp_path, a_record())
    whole = (folder / PREDICTIONS).read_bytes()
    (folder / PREDICTIONS).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RecordError, match=r"move .* out of the results folder"):
        read_predictions(folder)


def test_a_record_of_another_schema_is_refused(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record())
    raw = json.loads((folder / RESULT).read_text())
    (folder / RESULT).write_text(json.dumps({**raw, "schema_version": 1}))
    with pytest.raises(RecordError, match="schema_version"):
        read_record(folder)


def test_a_record_from_before_there_were_controls_is_of_an_ordinary_run(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record())
    raw = json.loads((folder / RESULT).read_text())
    for field in ("control", "scalars", "snapshots"):
        del raw[field]
    (folder / RESULT).write_text(json.dumps(raw))
    assert unsealed(read_record(folder)) == a_record(control=False, scalars={}, snapshots=())


def test_answers_along_a_training_are_read_in_order_with_nothing_made_up(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record(), some_predictions())
    labels = np.arange(60, dtype=np.int16).reshape(3, 20) % 10
    write_snapshots(folder, {"clean": labels})
    end, snapshots = read_predictions(folder)["clean"], read_snapshots(folder)
    assert len(snapshots) == 3
    for snapshot, expected in zip(snapshots, labels, strict=True):
        np.testing.assert_array_equal(snapshot["clean"].label, expected)
        np.testing.assert_array_equal(snapshot["clean"].target, end.target)
        np.testing.assert_array_equal(snapshot["clean"].index, end.index)
        assert np.isnan(
            [snapshot["clean"].confidence, snapshot["clean"].nll, snapshot["clean"].brier, snapshot["clean"].kl]
        ).all()


def test_snapshots_that_are_missing_or_damaged_are_refused(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record())
    with pytest.raises(RecordError, match="snapshots"):
        read_snapshots(folder)
    (folder / SNAPSHOTS).write_bytes(b"no archive")
    with pytest.raises(RecordError, match=r"move .* out of the results folder"):
        read_snapshots(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": np.zeros(19, np.int16)}, r"label has the shape \(19,\), but there are 20 images"),
        ({"label": np.zeros((20, 1), np.int16)}, r"label has the shape \(20, 1\), but there are 20 images"),
        ({"label": np.full(20, -1, np.int16)}, r"label has the value -1; allowed: 0 to 32767"),
        ({"index": np.full(20, -2, np.int32)}, r"index has the value -2; allowed: -1 to 2147483647"),
        ({"target": np.full(20, 2**40)}, r"target has the value 1099511627776; allowed: 0 to 32767"),
        ({"target": np.zeros(20, np.float32)}, r"target holds float32"),
        ({"kl": np.zeros(20, np.int16)}, r"kl holds int16"),
    ],
)
def test_answers_that_no_network_gave_are_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    clean = replace(some_predictions()["clean"], **changes)
    folder = store(tmp_path, a_record(), {"clean": clean})
    with pytest.raises(RecordError, match=rf"{folder / PREDICTIONS} .*{reason}.*; move {folder} out of") as caught:
        read_predictions(folder)
    assert caught.value.exit_code == 2


def test_answers_are_on_the_sets_and_images_that_the_record_tells_of(tmp_path: Path) -> None:
    def record(**images: int) -> Record:
        return a_record(test={name: SetResult(images=n, macro_accuracy=0.5) for name, n in images.items()})

    folder = store(tmp_path, a_record(), some_predictions())
    assert list(read_predictions(folder, record(clean=20))) == ["clean"]
    with pytest.raises(RecordError, match="clean has 20 images, the record says 1000"):
        read_predictions(folder, record(clean=1000))
    with pytest.raises(RecordError, match="noise has 0 images, the record says 20"):
        read_predictions(folder, record(clean=20, noise=20))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros((3, 19), np.int16), "'clean' has 19 images, but 20 were answered at the end"),
        (np.zeros((3, 20)), "label holds float64; allowed: integers"),
        (np.full((3, 20), -5, np.int16), "label has the value -5; allowed: 0 to 32767"),
        (np.zeros(20, np.int16), r"label has the shape \(20,\); allowed: one row per snapshot"),
    ],
    ids=["19 images", "float", "class -5", "no rows"],
)
def test_snapshots_that_do_not_fit_the_end_are_refused(tmp_path: Path, labels: Any, reason: str) -> None:
    folder = store(tmp_path, a_record(), some_predictions())
    write_snapshots(folder, {"clean": labels})
    with pytest.raises(RecordError, match=rf"as snapshots: {reason}"):
        read_snapshots(folder)
    write_snapshots(folder, {"unheard-of": np.zeros((3, 20), np.int16)})
    with pytest.raises(RecordError, match="as snapshots: 'unheard-of' has 20 images, but 0 were answered"):
        read_snapshots(folder)


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_a_record_with_a_number_that_is_not_finite_is_refused(tmp_path: Path, number: str) -> None:
    folder = store(tmp_path, a_record(scalars={"cka_to_shape": 0.125}))
    text = (folder / RESULT).read_text()
    (folder / RESULT).write_text(text.replace("0.125", number))
    with pytest.raises(RecordError, match=r"scalars\.cka_to_shape has the value .*: it should be a finite number"):
        read_record(folder)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("parameters", 2**63, "less than 9223372036854775808"),
        ("seed", -(2**63) - 1, "greater than or equal to -9223372036854775808"),
        ("finished", "yesterday", "'yesterday' is not a time in UTC"),
        ("finished", "2026-01-01T00:00:00", "is not a time in UTC"),
        ("finished", "2026-13-01T00:00:00+00:00", "month must be in 1..12"),
    ],
)
def test_a_value_that_no_table_can_hold_is_refused(tmp_path: Path, field: str, value: object, reason: str) -> None:
    folder = store(tmp_path, a_record())
    fields = json.loads((folder / RESULT).read_text()) | {field: value}
    (folder / RESULT).write_text(json.dumps(fields))
    with pytest.raises(RecordError, match=re.escape(reason)):
        read_record(folder)


def test_a_huge_record_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = store(tmp_path, a_record())
    os.truncate(folder / RESULT, 2**40)
    with pytest.raises(RecordError, match=f"cannot be read: it has {2**40} bytes; allowed: at most"):
        read_record(folder)


def test_answers_that_unpack_to_far_more_than_any_record_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store(tmp_path, a_record(), some_predictions())
    read_predictions(folder)
    monkeypatch.setattr("kdbench.records.arrays.MOST_ARRAY_BYTES", 1000)
    with pytest.raises(RecordError, match=r"its arrays take \d+ bytes; allowed: at most 1000"):
        read_predictions(folder)
