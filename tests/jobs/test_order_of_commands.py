"""What a record says of an independent student does not depend on which question was run first."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.jobs.invocation import run
from kdbench.records import Record, find_records, read_record
from tests.jobs.small_jobs import an_independent_in

pytestmark = pytest.mark.slow


def records_after(folder: Path, *questions: tuple[str, ...]) -> dict[str, Record]:
    """Return the records after one command per group of questions, by run id."""
    options = an_independent_in(folder)
    for group in questions:
        run(replace(options, questions=group), Console(quiet=True))
    return {record.run_id: record for record in map(read_record, find_records(folder))}


def test_comparisons_with_teachers_do_not_depend_on_the_order_of_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    one_by_one = records_after(tmp_path / "one-by-one", ("architecture",), ("planted",))
    at_once = records_after(tmp_path / "at-once", ("architecture", "planted"))
    assert one_by_one.keys() == at_once.keys()
    for run_id, record in at_once.items():
        other = one_by_one[run_id]
        assert (other.scalars, other.compared_with, other.test) == (record.scalars, record.compared_with, record.test)
    (alone,) = (record for record in at_once.values() if record.method == "independent")
    assert alone.compared_with == ("cnn", "shape", "texture", "vit")
