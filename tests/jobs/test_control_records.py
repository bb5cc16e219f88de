"""The records of control arms, from a small invocation of the real thing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.invocation import run
from kdbench.jobs.launcher import ForkLauncher, Limits
from kdbench.plan.controls import read_controls
from kdbench.plan.matrix import Control
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import plan
from kdbench.records import LOGITS, OCCLUSION, WEIGHTS, Budget, Record, read_predictions, read_snapshots, record_folder
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.spec import load_spec
from kdbench.training.snapshots import snapshot_steps
from tests.jobs.pretend_launcher import Silent
from tests.planned_runs import described_here

pytestmark = pytest.mark.slow
TRAIN, TEST = 128, 10


def options(out: Path) -> RunOptions:
    return RunOptions(
        "synthetic",
        methods=("lm",),
        questions=("planted",),
        directions=("vit-to-cnn",),
        out=out,
        limit_train=TRAIN,
        limit_test=TEST,
        epochs=1,
        device="cpu",
        workers=2,
        controls="basic",
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def records(out: Path) -> list[Record]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_CACHE", str(out.parent / "cache"))
        return list(run(options(out), Console(quiet=True)).records)


def of(records: list[Record], method: str) -> list[Record]:
    return [record for record in records if record.method == method]


def folder_of(out: Path, record: Record) -> Path:
    return record_folder(out, record.track, record.run_id, record.digests.testsets)


def test_controls_are_marked_and_nothing_else_is(records: list[Record]) -> None:
    assert all(record.status == "ok" for record in records)
    assert {record.method for record in records if not record.control} == {"teacher", "independent", "lm"}
    arms = {name for name, arm in read_controls().items() if arm.group == "basic" and arm.runs_on("synthetic")}
    assert {record.method for record in records if record.control} == arms | {"untrained"}


def test_every_run_answers_the_diagnostic_sets(records: list[Record], out: Path) -> None:
    names = {test_set.name for test_set in evaluated_sets(load_spec().track("synthetic"), diagnostics=True)}
    for record in records:
        assert set(record.test) == set(read_predictions(folder_of(out, record))) == names == set(record.digests.arrays)


def test_logits_and_occlusion_maps_lie_beside_the_record(records: list[Record], out: Path) -> None:
    for record in records:
        with np.load(folder_of(out, record) / LOGITS) as logits:
            assert logits["clean"].shape == (TEST, 10)
            assert logits["clean"].dtype == np.float16
        with np.load(folder_of(out, record) / OCCLUSION) as maps:
            assert maps["maps"].shape == (TEST, 64)


def test_students_and_no_other_networks_are_compared_with_both_teachers(records: list[Record]) -> None:
    for record in records:
        compared = {name for name in record.scalars if name.startswith(("cka", "occlusion_correlation_to"))}
        both = {f"{name}_to_{bias}" for name in ("cka", "occlusion_correlation") for bias in ("shape", "texture")}
        assert compared == (both if record.role == "student" else set())
        assert 0 < record.scalars["occlusion_on_object"] < 1
        taught = record.method in ("lm", "lm-shuffled", "random-teacher", "probe-one-bit")
        assert (record.teacher_run_id is not None) == taught


def test_random_teachers_were_never_trained(records: list[Record], out: Path) -> None:
    strangers = of(records, "untrained")
    assert {record.teacher_bias for record in strangers} == {"shape", "texture"}
    for record in strangers:
        assert record.role == "teacher"
        assert record.budget == Budget()
        assert record.curves == ()
    first, second = (load_file(folder_of(out, record) / WEIGHTS) for record in strangers)
    assert [name for name in first if not np.array_equal(first[name], second[name])] == ["head.weight"]


def test_students_of_random_teachers_say_so(records: list[Record]) -> None:
    strangers = {record.run_id: record.teacher_bias for record in of(records, "untrained")}
    students = of(records, "random-teacher")
    assert len(students) == 2
    for record in students:
        assert record.teacher_run_id is not None
        assert record.teacher_bias == strangers[record.teacher_run_id]
        assert record.config == {**of(records, "lm")[0].config, "distill_weight": 0.5}
    assert students[0].digests.weights != students[1].digests.weights


def test_what_a_control_costs_is_counted(records: list[Record]) -> None:
    def images(method: str) -> tuple[int, int]:
        (record,) = of(records, method)
        return record.budget.student_forward_images, record.budget.student_backward_images

    alone = images("independent")
    for method, times in {
        "label-smoothing": 1,
        "independent-rotated": 4,
        "independent-views": 2,
        "compute-matched": 6,
    }.items():
        assert images(method) == (times * alone[0], times * alone[1])
    (matched,) = of(records, "compute-matched")
    assert matched.digests.training == of(records, "independent")[0].digests.training
    assert len(matched.curves) == 6


def test_the_same_command_finds_everything_done(
    records: list[Record], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(out.parent / "cache"))
    assert list(run(options(out), Console(quiet=True)).records) == records


def test_an_accuracy_matched_control_is_the_independent_with_answers_along_the_way(
    records: list[Record], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(out.parent / "cache"))
    ordinary = plan(replace(options(out), controls="none"), described_here)
    (planned,) = (run for run in ordinary.runs if run.submission.name == "independent")
    submission = replace(planned.submission, name="accuracy-matched", control=Control(snapshots=8))
    watched = replace(planned, submission=submission, run_id="watched")
    (record,) = LocalExecutor(ForkLauncher(Limits(600, 2**34)), 1).execute([watched], ordinary.context, Silent())
    assert record.control
    assert record.digests.weights == of(records, "independent")[0].digests.weights
    assert tuple(snapshot.step for snapshot in record.snapshots) == snapshot_steps(record.budget.steps, 8)
    assert not list(folder_of(out, record).glob("snapshot-*"))
    answers = read_snapshots(folder_of(out, record))
    assert len(answers) == 8
    final = read_predictions(folder_of(out, record))
    for name, last in answers[-1].items():
        np.testing.assert_array_equal(last.label, final[name].label)
    for snapshot, answer in zip(record.snapshots, answers, strict=True):
        clean = answer["clean"]
        assert snapshot.test["clean"].macro_accuracy == pytest.approx((clean.label == clean.target).mean())
