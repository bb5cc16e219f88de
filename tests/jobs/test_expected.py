"""What a processor would take is counted, not guessed: it grows with images, steps and networks."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.errors import DataError, InputError
from kdbench.jobs import expected
from kdbench.jobs.executor import Setting
from kdbench.jobs.expected import expected_on_cpu
from kdbench.jobs.forecast import forecast_of
from kdbench.jobs.invocation import Asked
from kdbench.jobs.invocation import plan as plan_asked
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Budget, Timing
from kdbench.spec import Track
from kdbench.testsets.effort import building_operations
from kdbench.testsets.spec import load_spec
from tests.examples import a_record, store
from tests.planned_runs import plan

PAPER = load_spec().track("cifar10-224")
GIGA = 1e9


def test_operations_are_those_of_the_literature() -> None:
    """ResNet-50: 4.1 billion multiply-adds an image (He et al. 2016, at 224 pixels); ViT-B/16: 17.5 (timm's tables)."""
    assert expected._answer_operations(PAPER, "cnn") == pytest.approx(2 * 4.1 * GIGA, rel=0.03)
    assert expected._answer_operations(PAPER, "vit") == pytest.approx(2 * 17.5 * GIGA, rel=0.05)


def test_masks_are_made_once_and_every_step_of_an_optimiser_counts() -> None:
    sets = {one.name: one for one in PAPER.test_sets}
    masks = building_operations([sets["shape-white"]], PAPER.data)
    assert building_operations([sets["shape-white"], sets["shape-black"]], PAPER.data) == masks
    texture = building_operations([sets["texture"]], PAPER.data) - masks
    assert building_operations([sets["texture"], sets["texture-object"]], PAPER.data) - masks == texture
    halved = sets["texture"].model_copy(update={"parameters": sets["texture"].parameters | {"steps": 200}})
    assert building_operations([halved], PAPER.data) - masks == pytest.approx(texture / 2)
    assert building_operations([sets["clean"], sets["noise"]], PAPER.data) == 0


def runs_of(track: Track, images: int) -> list[PlannedRun]:
    smaller = track.model_copy(update={"data": track.data.model_copy(update={"num_train": images})})
    return plan(track=smaller)


def test_twice_the_images_take_nearly_twice_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "processor_rate", lambda track: 5e10)
    some, more = (expected_on_cpu(runs_of(PAPER, images), diagnostics=False) for images in (100_000, 200_000))
    assert 1.6 < more.runs / some.runs < 2
    assert more.test_sets == some.test_sets > 0


def test_a_first_run_on_a_processor_is_told_by_its_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "processor_rate", lambda track: 5e10)
    runs, setting = plan(), Setting(tmp_path / "runs", tmp_path / "cache")
    forecast = forecast_of(runs, setting, workers=1)
    assert forecast.judged_by == "this processor's speed"
    assert forecast.left() == pytest.approx(expected_on_cpu(runs, diagnostics=False).runs)


def test_earlier_records_are_believed_before_the_processors_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected, "processor_rate", lambda track: pytest.fail("was measured"))
    timed = {"timing": Timing(training=30.0, evaluation=2.0), "budget": Budget(examples=9000)}
    store(tmp_path, a_record(**timed))
    forecast = forecast_of(plan(), Setting(tmp_path, tmp_path / "cache"), workers=1)
    assert forecast.judged_by == "earlier runs"
    assert forecast.left() is not None


def test_runs_of_other_methods_tell_where_there_are_none_of_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected, "processor_rate", lambda track: pytest.fail("was measured"))
    first, *others = plan()
    took = a_record(timing=Timing(training=30.0, evaluation=2.0), budget=Budget(examples=9000))
    forecast = forecast_of(others, Setting(tmp_path, tmp_path / "cache"), 1, [(first, took)])
    assert forecast.left() == pytest.approx(32 / first.cost * sum(run.cost for run in others))


def test_nothing_is_told_of_a_first_run_on_a_gpu_nor_of_no_runs(tmp_path: Path) -> None:
    setting = Setting(tmp_path, tmp_path / "cache")
    assert forecast_of([replace(run, device="cuda") for run in plan()], setting, workers=1).left() is None
    assert not forecast_of([], setting, workers=1).earlier


def asked(folder: Path, **more: object) -> Asked:
    return Asked("cifar10-224", methods=("lm",), out=folder, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"device": "cpu"}, {"device": "auto", "yes": True}])
def test_a_processor_is_used_for_the_papers_track_only_when_asked_for_by_name(
    given: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected, "processor_rate", lambda track: 5e10)
    monkeypatch.setattr("kdbench.networks.device.choose_device", lambda wanted: "cpu")
    sentence = (
        r"its 6 runs would take this processor about \d+\.\d h, 2 at a time, .* up to \d+\.\d h.*--device cpu --yes"
    )
    with pytest.raises(InputError, match=sentence):
        plan_asked(asked(tmp_path, workers=2, **given))


def test_who_asks_for_a_processor_gets_it(tmp_path: Path) -> None:
    """What is missing then are the weights, which are looked for in the folder that was given."""
    with pytest.raises(DataError, match=f"resnet50.a1_in1k.safetensors .*are not in {tmp_path}"):
        plan_asked(asked(tmp_path, device="cpu", yes=True, weights_dir=tmp_path))


def test_the_processors_rate_is_measured_on_the_track_itself() -> None:
    assert 1e8 < expected.processor_rate(load_spec().track("synthetic")) < 1e13
