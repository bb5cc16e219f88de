"""A plan says what is run and where, and is made without training, fetching or writing anything."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.methods.files import list_submissions
from kdbench.methods.loading import load_submission
from kdbench.networks import compiling
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import plan
from kdbench.records import WEIGHTS
from kdbench.resources import shipped
from tests.planned_runs import described_here


def options(out: Path, **more: object) -> RunOptions:
    chosen = {"track": "synthetic", "methods": ("lm",), "device": "cpu", "out": out} | more
    return RunOptions(**chosen)  # type: ignore[arg-type]


def test_a_plan_is_the_track_as_it_is_run_and_the_folders_of_its_runs(tmp_path: Path) -> None:
    planned = plan(
        options(tmp_path / "runs", limit_test=20, epochs=1, command="kdbench run --epochs 1"), described_here
    )
    assert planned.unofficial == ("--epochs 1", "--limit-test 20")
    assert {test_set.images for test_set in planned.track.test_sets} == {20}
    assert {run.limit_test for run in planned.runs} == {20}
    assert planned.context.command == "kdbench run --epochs 1"
    folders = {planned.context.folder(run) for run in planned.runs}
    assert len(folders) == len(planned.runs) == 8
    assert all(folder.parent == tmp_path / "runs" / "synthetic" for folder in folders)
    assert list(tmp_path.iterdir()) == []


def test_students_are_compared_with_both_teachers_of_their_question_and_seed(tmp_path: Path) -> None:
    planned = plan(options(tmp_path, seeds="0-1", questions=("architecture", "planted")), described_here)
    for student in (run for run in planned.runs if run.direction in ("cnn-to-vit", "vit-to-vit")):
        natural, of_cue = {("cnn", "natural"), ("vit", "natural")}, {("cnn", "shape"), ("cnn", "texture")}
        expected = {"natural": natural, "shape": of_cue, "texture": of_cue, None: natural | of_cue}
        assert {teacher.kind for teacher in student.references} == expected[student.teacher_bias]
        assert {teacher.seed for teacher in student.references} == {student.seed}


def test_teachers_without_weights_are_not_compared_with(tmp_path: Path) -> None:
    planned = plan(options(tmp_path), described_here)
    student = next(run for run in planned.runs if run.submission.name == "lm")
    assert planned.context.reference_folders(student) == {}
    folder = planned.context.folder(student.references[0])
    folder.mkdir(parents=True)
    (folder / WEIGHTS).touch()
    assert planned.context.reference_folders(student) == {student.references[0].kind: folder}


def test_an_independent_is_compared_with_the_teachers_of_another_command_too(tmp_path: Path) -> None:
    planned = plan(options(tmp_path), described_here)
    independent = next(run for run in planned.runs if run.submission.name == "independent")
    teachers = plan(options(tmp_path, questions=("planted",)), described_here).runs[:4]
    assert {run.run_id for run in teachers} & {run.run_id for run in independent.references}
    assert not {run.run_id for run in teachers} & {run.run_id for run in planned.runs}


def test_the_limit_on_test_images_changes_no_run_id(tmp_path: Path) -> None:
    whole, limited = (plan(options(tmp_path, limit_test=limit), described_here) for limit in (None, 20))
    assert [run.run_id for run in whole.runs] == [run.run_id for run in limited.runs]


def test_without_names_only_methods_that_fit_are_run_and_a_named_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one_way.py"
    text = shipped("benchmark", "submissions", "lm.py").read_text()
    path.write_text(text.replace('"lm"', '"one-way"').replace(", EVERY", ', ("cnn-to-vit",)'))
    with pytest.raises(InputError, match="'one-way' supports the direction cnn-to-vit, not vit-to-cnn"):
        plan(options(tmp_path, methods=(str(path),), directions=("vit-to-cnn",)), described_here)
    names = {
        run.submission.name
        for run in plan(options(tmp_path, methods=(), directions=("vit-to-cnn",)), described_here).runs
    }
    assert {"teacher", "independent", "lm"} <= names


def test_an_unknown_direction_is_refused_with_those_of_the_track(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown direction 'cnn-to-cnn'; track synthetic has: cnn-to-vit, vit-to-cnn"):
        plan(options(tmp_path, directions=("cnn-to-cnn",)), described_here)


def compiled(out: Path, **more: object) -> set[bool]:
    """Return whether the runs of a track on a GPU are compiled."""
    planned = plan(options(out, **({"track": "cifar10-32", "device": "cuda"} | more)), described_here)
    return {run.compiled for run in planned.runs}


def test_networks_are_compiled_where_the_track_says_so_or_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "obstacle_to_compiling", lambda device: None)
    assert compiled(tmp_path) == {True}
    assert compiled(tmp_path, compile=False) == {False}
    assert compiled(tmp_path, device="cpu") == {False}
    assert compiled(tmp_path, device="cpu", compile=True) == {True}
    assert compiled(tmp_path, track="synthetic") == {False}


def test_without_a_compiler_the_default_is_not_to_compile_and_the_plan_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "obstacle_to_compiling", lambda device: "C compiler (gcc or clang)")
    planned = plan(options(tmp_path, track="cifar10-32", device="cuda"), described_here)
    assert not any(run.compiled for run in planned.runs)
    (note,) = planned.notes
    assert note.endswith("this machine does not have: C compiler (gcc or clang).")
    assert plan(options(tmp_path), described_here).notes == ()
    with pytest.raises(InputError, match="--compile needs what this machine does not have: C compiler"):
        plan(options(tmp_path, compile=True), described_here)


def test_a_plan_knows_which_features_each_method_reads(tmp_path: Path) -> None:
    planned = plan(options(tmp_path, methods=("vlfkd",)), described_here)
    needs = {run.submission.name: set(run.submission.needs) for run in planned.runs}
    assert needs["independent"] == needs["teacher"] == {"logits"}
    assert needs["vlfkd"] == set(load_submission("vlfkd").needs)


def methods_in(out: Path, **more: object) -> list[str]:
    runs = plan(options(out, **({"methods": ()} | more)), described_here).runs
    return list(dict.fromkeys(run.submission.name for run in runs if run.role == "student"))


def test_a_suite_names_its_methods_and_the_paper_s_are_the_default(tmp_path: Path) -> None:
    assert methods_in(tmp_path, suite="quick") == ["independent", "lm"]
    assert set(methods_in(tmp_path)) == {"independent", "lm", "crd", "cskd", "vlfkd", "sskd", "capd"}
    assert set(methods_in(tmp_path, suite="full")) == set(list_submissions())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"suite": "all", "methods": ()}, "--suite 'all' is not allowed; give one of: quick, core, full"),
        ({"suite": "quick"}, "--suite and --methods both say which methods to run; give one of them"),
        ({"questions": ("tau",)}, "--questions 'tau' is not allowed; track synthetic poses: architecture, planted"),
        ({"questions": ()}, "--questions names no question; track synthetic poses: architecture, planted"),
        (
            {"questions": ("planted",), "track": "cifar10-32"},
            "'planted' is not allowed; track cifar10-32 poses: architecture",
        ),
        ({"controls": "some"}, "--controls 'some' is not allowed; give one of none, basic, frontier, all, or names"),
    ],
)
def test_a_wrong_suite_question_or_control_is_refused(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(options(tmp_path, **wrong), described_here)


def test_a_method_that_needs_attention_has_no_second_arm_and_the_plan_says_so(tmp_path: Path) -> None:
    planned = plan(options(tmp_path, methods=("capd", "sskd")), described_here)
    directions = {name: set() for name in ("capd", "sskd")}  # type: dict[str, set[str | None]]
    for run in planned.runs:
        directions.get(run.submission.name, set()).add(run.direction)
    assert directions == {"capd": {"vit-to-cnn"}, "sskd": {"vit-to-cnn", "cnn-to-cnn"}}
    assert planned.notes == ("capd cannot train cnn-to-cnn, so it has no number for the question of architecture.",)
    assert plan(options(tmp_path, methods=("capd",), questions=("planted",)), described_here).notes == ()
