"""Of a method file that was edited between runs, only the runs of its newest code are a row."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from kdbench.plan.current import write_current
from kdbench.plan.matrix import PlannedRun
from kdbench.records.current import read_current
from kdbench.records.groups import StoredRecord
from kdbench.scoring.superseded import OLDER_CODE, superseded_records
from tests.examples import store
from tests.planned_runs import expanded, record_of, submission
from tests.scoring.boards import SPEC

FIRST, SECOND = "1" * 64, "2" * 64


def runs_of(code: str, *, name: str = "mine", temperature: float = 4.0) -> list[PlannedRun]:
    """Return the students of a method of this code."""
    planned = expanded(submission(name, code=code, config={"temperature": temperature}), directions=("cnn-to-vit",))
    return [run for run in planned if run.role == "student"]


def stored(results: Path, planned: Sequence[PlannedRun], hour: int, **changes: object) -> list[StoredRecord]:
    records = [record_of(run).model_copy(update={"finished": f"2026-01-01T{hour:02}:00:00+00:00"}) for run in planned]
    records = [record.model_copy(update=changes) for record in records]
    return [(store(results, record), record) for record in records]


def superseded(results: Path, records: Sequence[StoredRecord]) -> dict[Path, str]:
    write_current(results, SPEC)
    return superseded_records(records, read_current(results))


def test_records_of_the_newest_code_count_and_older_ones_are_named_with_their_digest(tmp_path: Path) -> None:
    old, new = stored(tmp_path, runs_of(FIRST), 1), stored(tmp_path, runs_of(SECOND), 2)
    expected = dict.fromkeys([folder for folder, _ in old], OLDER_CODE.format("mine", FIRST[:12]))
    assert len(old) == len(new) == 2
    assert superseded(tmp_path, [*new, *old]) == expected


def test_older_code_counts_no_more_under_any_setting(tmp_path: Path) -> None:
    old = stored(tmp_path, runs_of(FIRST, temperature=2.0), 1)
    new = stored(tmp_path, runs_of(SECOND, temperature=4.0), 2)
    assert superseded(tmp_path, [*old, *new]).keys() == {folder for folder, _ in old}


def test_several_settings_of_the_newest_code_all_count(tmp_path: Path) -> None:
    records = [*stored(tmp_path, runs_of(FIRST, temperature=2.0), 1), *stored(tmp_path, runs_of(FIRST), 2)]
    assert superseded(tmp_path, records) == {}


@pytest.mark.parametrize("changes", [{"unofficial": ("--sandbox off",)}, {"compiled": True}])
def test_an_unofficial_or_compiled_run_of_newer_code_supersedes_no_other(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    records = [*stored(tmp_path, runs_of(FIRST), 1), *stored(tmp_path, runs_of(SECOND), 2, **changes)]
    assert superseded(tmp_path, records) == {}


def test_code_of_shipped_methods_is_judged_by_what_ships_and_not_by_time(tmp_path: Path) -> None:
    records = [*stored(tmp_path, runs_of(FIRST, name="lm"), 1), *stored(tmp_path, runs_of(SECOND, name="lm"), 2)]
    assert superseded(tmp_path, records) == {}


def test_nothing_is_superseded_where_it_is_not_known_which_methods_ship(tmp_path: Path) -> None:
    records = [*stored(tmp_path, runs_of(FIRST), 1), *stored(tmp_path, runs_of(SECOND), 2)]
    assert superseded_records(records, read_current(tmp_path)) == {}
    assert superseded_records(records, None) == {}
