"""Control arms are ordinary runs that appear when asked for, differ from their method in one thing, and are marked."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdbench.api import Batch, Method, Output, Task
from kdbench.errors import InputError, SpecError
from kdbench.methods.loading import load_submission
from kdbench.methods.preflight import backbone_shapes
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
CONTROLS = {"random-teacher", "label-smoothing", "independent-rotated", "independent-views", "compute-matched"}


def options(**more: str) -> RunOptions:
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
    } == CONTROLS - {"compute-matched"}


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
    assert {"lm-w100-t1", "lm-hard", "lm-views", "crd-kd", "capd-kd"} <= names["frontier"]
    assert not names["frontier"] & names["basic"]
    assert names["all"] == names["frontier"] | names["basic"]


def test_arms_of_lm_are_called_after_their_weight_and_temperature() -> None:
    for name, arm in read_controls().items():
        if name.startswith("lm-w"):
            weight, temperature = (
                arm.config.get(key, own) for key, own in (("distill_weight", 0.9), ("temperature", 4))
            )
            assert name == f"lm-w{100 * float(weight):.0f}-t{temperature:.0f}"


class Recorder:
    """Stands for the harness: keeps the images that a step asks about, and its losses."""

    def __init__(self, classes: int = 10) -> None:
        self.seen: list[torch.Tensor] = []
        self.losses: dict[str, torch.Tensor] = {}
        self._classes = classes

    def student_forward(self, images: torch.Tensor) -> Output:
        self.seen.append(images)
        return Output(logits=images.flatten(1)[:, : self._classes])

    def teacher_forward(self, images: torch.Tensor) -> Output:
        self.seen.append(images)
        return Output(logits=images.flatten(1)[:, -self._classes :])

    def backward_and_step(self, losses: dict[str, torch.Tensor]) -> None:
        self.losses = losses


def method_of(name: str, **config: object) -> Method:
    method = load_submission(read_controls()[name].path)
    task = Task(
        num_classes=10,
        num_train=100,
        train_labels=torch.arange(100) % 10,
        teacher=backbone_shapes(SYNTHETIC, "vit"),
        student=backbone_shapes(SYNTHETIC, "cnn"),
        total_steps=10,
        epochs=1,
        seed=0,
        device=torch.device("cpu"),
    )
    return method(task, method.Config(**config))


def some_batch(count: int = 6) -> Batch:
    images = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(images=images, labels=torch.arange(count) % 10, index=torch.arange(count))


def test_label_smoothing_moves_a_tenth_of_the_label_to_all_classes() -> None:
    batch, logits = some_batch(), torch.randn(6, 10)
    method = method_of("label-smoothing")
    losses = method.loss(batch, Output(logits=logits), None)
    target = 0.9 * torch.nn.functional.one_hot(batch.labels, 10) + 0.01
    expected = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(losses["cross_entropy"], expected)  # type: ignore[index]


def test_rotated_views_are_those_of_sskd_with_the_same_labels() -> None:
    batch, run = some_batch(), Recorder()
    method_of("independent-rotated").step(run, batch)  # type: ignore[arg-type]
    (seen,) = run.seen
    for turns in range(4):
        torch.testing.assert_close(seen[6 * turns : 6 * turns + 6], batch.images.rot90(turns, dims=(2, 3)))
    logits = seen.flatten(1)[:, :10]
    cross_entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(run.losses["cross_entropy"], cross_entropy(logits[:6], batch.labels))
    rotated = cross_entropy(logits[6:], batch.labels.repeat(3))
    torch.testing.assert_close(run.losses["rotated_cross_entropy"], rotated)


def test_hard_matching_has_the_teacher_s_preferred_class_as_its_label() -> None:
    batch, mine, theirs = some_batch(), torch.randn(6, 10), torch.randn(6, 10)
    losses: Any = method_of("lm-hard").loss(batch, Output(logits=mine), Output(logits=theirs))
    cross_entropy = torch.nn.functional.cross_entropy
    assert [losses[name].weight for name in ("cross_entropy", "distillation")] == pytest.approx([0.1, 0.9])
    torch.testing.assert_close(losses["cross_entropy"].value, cross_entropy(mine, batch.labels))
    torch.testing.assert_close(losses["distillation"].value, cross_entropy(mine, theirs.argmax(dim=1)))


def test_matching_on_views_is_the_mean_of_lm_on_each_view() -> None:
    batch, run = some_batch(), Recorder()
    method_of("lm-views").step(run, batch)  # type: ignore[arg-type]
    teacher, student = run.seen
    assert teacher is student
    losses: Any = run.losses
    lm, expected = method_of("lm-w90-t1", temperature=4.0), []
    for turns in range(4):
        view = batch.images.rot90(turns, dims=(2, 3)).flatten(1)
        parts: Any = lm.loss(batch, Output(view[:, :10]), Output(view[:, -10:]))
        expected.append(parts["distillation"].value)
    torch.testing.assert_close(losses["distillation"].value, torch.stack(expected).mean())
    logits = batch.images.flatten(1)[:, :10]
    upright = torch.nn.functional.cross_entropy(logits, batch.labels)
    torch.testing.assert_close(losses["cross_entropy"].value, upright)


def test_views_leave_about_half_of_the_images_alone_and_change_the_others() -> None:
    torch.manual_seed(0)
    batch, run = some_batch(200), Recorder()
    method_of("independent-views").step(run, batch)  # type: ignore[arg-type]
    plain, view = run.seen
    assert plain is batch.images
    unchanged = (plain == view).flatten(1).all(dim=1)
    assert 70 < int(unchanged.sum()) < 130
    assert set(run.losses) == {"cross_entropy", "view_cross_entropy"}


@pytest.mark.skipif(
    not shipped("benchmark", "submissions", "capd.py").exists(), reason="there is no capd to compare with"
)
def test_views_are_those_of_capd() -> None:
    ours, theirs = (
        sys.modules[method.__module__]
        for method in (load_submission(read_controls()["independent-views"].path), load_submission("capd"))
    )
    images, views = some_batch(20).images, []
    for module in (ours, theirs):
        torch.manual_seed(3)
        views.append(module.random_view(images, (8, 8), 0.5))
    torch.testing.assert_close(*views)
