"""The run of a record is planned once more, whatever its question, teacher and method are."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.plan.again import as_recorded, plan_again
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import plan
from tests.planned_runs import described_here, record_of

OPTIONS = RunOptions(
    "synthetic",
    methods=("lm", "capd"),
    directions=("vit-to-cnn",),
    questions=("architecture", "planted"),
    controls="basic",
    device="cpu",
    seeds="1",
)


@pytest.fixture(scope="module")
def runs() -> tuple[PlannedRun, ...]:
    """One direction and seed of two methods with the basic controls, for both questions."""
    return plan(OPTIONS, described_here).runs


def test_every_kind_of_run_is_planned_again_with_its_teacher(runs: tuple[PlannedRun, ...], tmp_path: Path) -> None:
    kinds = {(run.submission.name, run.direction, run.teacher_bias): run for run in runs}
    for run in kinds.values():
        record = record_of(run)
        planned, again = plan_again(record, as_recorded(RunOptions(device="cpu", out=tmp_path), record), described_here)
        assert again.run_id == run.run_id
        assert again.teacher is None or again.teacher in planned.runs


def test_a_run_id_that_follows_from_no_run_is_refused(runs: tuple[PlannedRun, ...], tmp_path: Path) -> None:
    record = record_of(runs[0]).model_copy(update={"run_id": "0" * 16})
    with pytest.raises(InputError, match="no run of this harness has the run id 0000000000000000"):
        plan_again(record, as_recorded(RunOptions(device="cpu", out=tmp_path), record), described_here)
