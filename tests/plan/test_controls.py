"""Control arms are ordinary runs that appear when asked for, differ from their method in one thing, and are marked."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdbench.errors import InputError, SpecError
from kdbench.networks.models import new_backbone
from kdbench.plan.controls import control_submissions, read_controls
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.options import CONTROL_CHOICES, RunOptions
from kdbench.plan.planning import plan
from kdbench.resources import shipped
from kdbench.spec import DIRECTIONS, QUESTIONS, Direction, Family, Track, families
from kdbench.testsets.spec import load_spec
from tests.planned_runs import INDEPENDENT, described_here, expanded, submission, trial_on

SYNTHETIC = load_spec().track("synthetic")
CONTROLS = {
    *("random-teacher", "lm-shuffled", "label-smoothing", "independent-rotated", "independent-views"),
    *("compute-matched", "probe-one-bit"),
}
FRONTIER = {
    *(f"lm-w{weight}-t{temperature}" for weight in (10, 50, 90, 100) for temperature in (1, 4)),
    *("lm-hard", "lm-views", "crd-kd", "vlfkd-kd", "capd-kd"),
} - {"lm-w90-t4"}  # that is lm itself


def options(**more: object) -> RunOptions:
    return RunOptions("synthetic", methods=("lm",), questions=QUESTIONS, device="cpu", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs() -> tuple[PlannedRun, ...]:
    """One seed of lm with the basic controls, for both questions."""
    return plan(options(controls="basic"), described_here).runs


def of(runs: Sequence[PlannedRun], name: str, **rest: object) -> list[PlannedRun]:
    arm = [run for run in runs if run.submission.name == name]
    return [run for run in arm if all(getattr(run, key) == value for key, value in rest.items())]


def test_without_the_flag_there_is_no_control() -> None:
    ordinary = plan(options(), described_here)
    assert all(run.submission.control is None for run in ordinary.runs)
    assert {run.submission.name for run in ordinary.runs} == {"teacher", "independent", "lm"}
    assert not ordinary.context.diagnostics


def test_controls_come_on_top_and_change_no_other_run(runs: Sequence[PlannedRun]) -> None:
    ordinary = plan(options(), described_here).runs
    assert {run.run_id for run in runs if run.submission.control is None} == {run.run_id for run in ordinary}
    assert {run.submission.name for run in runs if run.submission.control} == CONTROLS | {"untrained"}
    assert len({run.run_id for run in runs}) == len(runs)


def test_ids_of_ordinary_runs_of_the_headline_question_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinned: another id trains a run anew. The track's digest is held, so only NUMERICS_VERSION may change them."""
    monkeypatch.setattr(Track, "training_digest", property(lambda track: "t" * 64))
    planned = expanded(INDEPENDENT, submission("lm"))
    ids = {(run.role, run.submission.name): run.run_id for run in reversed(planned)}
    assert ids == {
        ("teacher", "teacher"): "878c885d679ab3e7",
        ("student", "independent"): "794014b6b172fab8",
        ("student", "lm"): "d964194001e4e854",
    }


def test_controls_imply_the_diagnostic_sets() -> None:
    assert plan(options(controls="basic"), described_here).context.diagnostics


def test_a_random_teacher_stands_in_for_each_teacher_and_is_never_trained(runs: Sequence[PlannedRun]) -> None:
    strangers = of(runs, "untrained")
    kinds = {(family, bias) for family in ("cnn", "vit") for bias in ("natural", "shape", "texture")}
    assert {run.kind for run in strangers} == kinds
    assert all(run.untrained and run.role == "teacher" and run.epochs == 0 for run in strangers)
    assert not any(run.untrained for run in runs if run not in strangers)


def test_students_of_random_teachers_have_lms_code_and_another_teacher(runs: Sequence[PlannedRun]) -> None:
    for direction in DIRECTIONS:
        taught, lm = of(runs, "random-teacher", direction=direction), of(runs, "lm", direction=direction)
        is_within = direction in ("cnn-to-cnn", "vit-to-vit")
        assert [run.teacher_bias for run in taught] == (["natural"] if is_within else ["natural", "shape", "texture"])
        for control, lm_run in zip(taught, lm, strict=True):
            assert control.teacher is not None
            assert control.teacher.untrained
            assert control.submission.code == lm_run.submission.code
            assert control.submission.config == {**lm_run.submission.config, "distill_weight": 0.5}
            assert control.epochs == lm_run.epochs
            assert control.run_id != lm_run.run_id


def test_the_compute_matched_control_differs_from_independent_in_its_epochs_alone(runs: Sequence[PlannedRun]) -> None:
    for direction, epochs in (("vit-to-cnn", 18), ("cnn-to-vit", 4)):
        (matched,), (alone,) = (of(runs, name, direction=direction) for name in ("compute-matched", "independent"))
        assert (matched.epochs, alone.epochs) == (epochs, 3)
        assert matched.submission.code == alone.submission.code
        assert matched.track == alone.track
        assert matched.cost > alone.cost


def operations(track: Track, family: Family) -> int:
    """Of one forward pass on one image."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        network = new_backbone(track, family, seed=0, pretrained=False).eval()
        network(torch.zeros(1, 3, track.data.image_size, track.data.image_size))
    return int(counter.get_total_flops())


@pytest.mark.parametrize("track_name", ["synthetic", "cifar10-32", "cifar10-224"])
@pytest.mark.parametrize(("direction", "views", "preparing"), [("vit-to-cnn", 4, 1), ("cnn-to-vit", 1, 0)])
def test_the_compute_matched_control_costs_as_much_as_the_most_expensive_method(
    track_name: str, direction: Direction, views: int, preparing: int
) -> None:
    """sskd has four views in both networks and a pass of the teacher before; from CNN to ViT all cost about an lm."""
    track = load_spec().track(track_name)
    teacher, student = (operations(track, family) for family in families(direction))
    most_expensive = views * (3 * student + teacher * (1 + preparing / track.training.student_epochs))
    factor = read_controls()["compute-matched"].epochs_factor[track_name][direction]
    assert 3 * student * factor == pytest.approx(most_expensive, rel=0.12)


def test_the_accuracy_matched_control_is_run_on_cifar_alone() -> None:
    assert {submission.name for submission in control_submissions("basic", trial_on(), described_here)} == CONTROLS
    for track_name in ("cifar10-32", "cifar10-224"):
        (matched,) = (
            submission
            for submission in control_submissions("basic", trial_on(load_spec().track(track_name)), described_here)
            if submission.name not in CONTROLS
        )
        assert matched.name == "accuracy-matched"
        assert matched.control is not None
        assert matched.control.snapshots == 8


def test_a_track_that_the_table_does_not_know_has_no_matched_controls() -> None:
    mine = SYNTHETIC.model_copy(update={"name": "mine"})
    assert {
        submission.name for submission in control_submissions("basic", trial_on(mine), described_here)
    } == CONTROLS - {"compute-matched", "probe-one-bit"}


def test_a_method_with_a_controls_name_is_refused_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        shipped("benchmark", "submissions", "independent.py").read_text().replace('"independent"', '"label-smoothing"')
    )
    with pytest.raises(InputError, match="'label-smoothing' has the name of a control arm"):
        plan(RunOptions("synthetic", methods=(str(path),), device="cpu", controls="basic"), described_here)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a", "not TOML"),
        (
            "[a]\nmethod = 'lm'\ngroup = 'basic'\nepoch_factor = 2",
            "unknown key a.epoch_factor = 2; allowed there: group, method, .*epochs_factor",
        ),
        ("[a]\nmethod = 'lm'\ngroup = 'basic'\nepochs_factor = { t = { cnn-to-vit = 0.5 } }", "epochs_factor"),
    ],
)
def test_a_wrong_table_of_controls_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "controls.toml").write_text(text)
    with pytest.raises(SpecError, match=reason):
        read_controls(tmp_path / "controls.toml")


def test_every_control_is_explained() -> None:
    text = shipped("benchmark", "controls", "README.md").read_text()
    assert all(f"| `{name}` |" in text for name in read_controls())


def test_the_frontier_is_run_where_it_is_asked_for_alone() -> None:
    names = {
        choice: {submission.name for submission in control_submissions(choice, trial_on(), described_here)}
        for choice in CONTROL_CHOICES
    }
    assert names["none"] == set()
    assert names["basic"] == CONTROLS
    assert names["frontier"] == FRONTIER
    assert names["all"] == CONTROLS | FRONTIER


def test_single_arms_are_chosen_by_name() -> None:
    chosen = control_submissions("probe-one-bit,random-teacher", trial_on(), described_here)
    assert {submission.name for submission in chosen} == {"random-teacher", "probe-one-bit"}
    with pytest.raises(InputError, match="--controls 'probe' is not allowed"):
        control_submissions("random-teacher,probe", trial_on(), described_here)
    with pytest.raises(InputError, match="--controls 'accuracy-matched' does not run on track synthetic"):
        control_submissions("accuracy-matched", trial_on(), described_here)


def test_an_arm_without_the_direction_is_left_out() -> None:
    planned = plan(options(controls="frontier", directions=("vit-to-cnn",)), described_here)
    names = {run.submission.name for run in planned.runs if run.submission.control}
    assert names == FRONTIER - {"vlfkd-kd"}


def test_arms_of_lm_are_called_after_their_weight_and_temperature() -> None:
    for name, arm in read_controls().items():
        if name.startswith("lm-w"):
            weight, temperature = (
                arm.config.get(key, own) for key, own in (("distill_weight", 0.9), ("temperature", 4))
            )
            assert name == f"lm-w{100 * float(weight):.0f}-t{temperature:.0f}"
