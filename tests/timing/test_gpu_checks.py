"""The script of GPU checks, its rows made on a CPU: none dies, and what they compare with is what they say."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.timing import device_rows, gpu_checks
from benchmark.timing.picture_rows import Effort, mask_rows, style_rows, texture_rows
from benchmark.timing.rows import CheckRow, guarded, matrix_peak
from benchmark.timing.training_rows import Bench, training_rows, within_target
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from kdbench.timing.timed_training import Form, timed_training
from tests.testsets.small_picture_networks import networks
from tests.training.stand_in_engine import StandInEngine

CPU = torch.device("cpu")
PAPER = load_spec().track("cifar10-224")
IMAGES = 64


@pytest.fixture
def track() -> Track:
    """The synthetic track in batches of 16."""
    whole = load_spec().track("synthetic")
    return whole.model_copy(update={"training": whole.training.model_copy(update={"batch_size": 16})})


@pytest.fixture
def bench(track: Track) -> Bench:
    return Bench(track, CPU, peak=1e12, steps=1, images=IMAGES)


def shallow(track: Track) -> Track:
    """The track with a ViT of four blocks, one for each stage."""
    vit = track.backbones.vit
    few = vit.model_copy(update={"arguments": {**vit.arguments, "depth": 4}})
    return track.model_copy(update={"backbones": track.backbones.model_copy(update={"vit": few})})


def assert_none_is_bad(rows: list[CheckRow], *checks: str) -> None:
    assert [row.check for row in rows] == list(checks)
    assert [str(row) for row in rows if row.good is False] == []


def test_without_a_gpu_it_says_so_and_checks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu_checks.py"])
    assert gpu_checks.main() == 2
    assert "no CUDA device" in capsys.readouterr().err


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("9.00 GiB\nand more"), TypeError("9.00 GiB"), KeyError()])
def test_a_check_that_dies_is_a_line_and_not_the_end(error: Exception) -> None:
    def dies() -> list[CheckRow]:
        raise error

    (row,) = guarded("crd cnn-to-vit", dies)
    assert row.result.startswith(f"{type(error).__name__}: ")
    assert str(row).startswith("MISS crd cnn-to-vit: ")


def test_a_training_is_measured_part_by_part_beside_lm(bench: Bench) -> None:
    rows = list(training_rows(bench, ["independent", "lm"]))
    assert_none_is_bad(
        rows,
        *("lm cnn-to-vit", "independent cnn-to-vit", "lm vit-to-cnn", "independent vit-to-cnn"),
    )
    alone = rows[1].result
    assert re.search(r"images/s, .* GiB; bound by (student|data) \(data .*, teacher 0%, student .*, method .*\)", alone)
    assert re.search(r"s per epoch \(.* x lm, not timed in the paper\)", alone)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        pytest.param("crd", "vit-to-cnn", id="a memory"),
        pytest.param("sskd", "vit-to-cnn", id="a stage of its own"),
        pytest.param("cskd", "cnn-to-vit", id="a head that is asked without gradients"),
    ],
)
def test_methods_that_do_more_than_a_loss_are_measured(bench: Bench, name: str, direction: str) -> None:
    """One step, one direction."""
    track = bench.track.model_copy(update={"directions": (direction,)})
    assert_none_is_bad(list(training_rows(replace(bench, track=track), [name])), f"{name} {direction}")


def test_steps_that_are_timed_log_no_gradients_norms(track: Track) -> None:
    training = timed_training(track, "cnn-to-vit", "lm", CPU, IMAGES)
    assert any(name.startswith("gradient_norm_") for name in training.run.take_means())
    training.step()
    assert not any(name.startswith("gradient_norm_") for name in training.run.take_means())


def test_every_step_draws_a_batch_of_its_own(track: Track) -> None:
    training = timed_training(track, "cnn-to-vit", "independent", CPU, IMAGES)
    first, second = next(training.batches), next(training.batches)
    assert not set(first.index.tolist()) & set(second.index.tolist())
    assert training.run.stopwatch.read()["data"] > 0


@pytest.mark.parametrize(
    ("name", "epoch", "own", "good"),
    [
        ("lm", 20.0, 0.01, True),
        ("lm", 20.0, 0.06, False),
        ("sskd", 90.0, 0.05, True),
        ("sskd", 90.1, 0.05, False),
        ("crd", 44.1, 0.01, False),
    ],
)
def test_targets_are_multiples_of_lms_seconds_and_a_methods_own_share(
    name: str, epoch: float, own: float, good: bool
) -> None:
    assert within_target(name, {"lm": 20.0} | {name: epoch}, own) is good


def test_without_lm_nothing_is_a_multiple_of_it() -> None:
    assert within_target("crd", {"crd": 1e6}, 0.01) is None


def test_pixels_and_evaluation_are_checked(track: Track) -> None:
    rows = [
        *device_rows.pixel_rows(PAPER, CPU),
        *device_rows.pixel_rows(track, CPU),
        *device_rows.evaluation_rows(track, CPU, images=20),
    ]
    against = "compared with the CPU"
    assert_none_is_bad(
        rows,
        *(f"resizing, {against}", f"scramble-7, {against}", f"noise, {against}", f"resizing, {against}"),
        *("evaluation of a cnn", "evaluation of a vit"),
    )


def test_compiling_is_checked(track: Track) -> None:
    rows = list(device_rows.compile_rows(shallow(track), CPU, rounds=1, backend="aot_eager"))
    assert_none_is_bad(rows, "--compile of a cnn", "--compile of a vit")


def test_the_making_of_pictures_is_checked() -> None:
    effort, small = Effort(masks=4, pictures=2, steps=1), networks()
    rows = [row for check in (mask_rows, texture_rows, style_rows) for row in check(PAPER, small, effort)]
    names = ("object masks", "texture synthesis", "style transfer")
    assert_none_is_bad(rows, *(label for name in names for label in (name, f"{name}, repeated")))
    assert "images of 400 steps" in rows[2].result
    assert "images of 85 steps" in rows[4].result


@pytest.mark.parametrize(("claim", "good"), [("True", True), ("False", False)])
def test_tests_that_fail_are_named(tmp_path: Path, claim: str, good: bool) -> None:
    path = tmp_path / "tests" / "test_gpu.py"
    path.parent.mkdir()
    path.write_text(f"import pytest\n\n@pytest.mark.gpu\ndef test_claim():\n    assert {claim}\n")
    (row,) = device_rows.gpu_test_rows(path)
    assert row.good is good
    assert ("FAILED" in row.result) is not good


def test_the_peak_is_of_a_product_of_matrices() -> None:
    assert matrix_peak(CPU, side=64, rounds=2) > 0


@pytest.mark.parametrize(("form", "ran"), [("captured", "captured"), ("eager", "eager")])
def test_a_training_is_timed_once_its_steps_are_captured(
    form: Form, ran: str, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.training.metered.engine_for", lambda device: StandInEngine())
    training = timed_training(track, "cnn-to-vit", "lm", CPU, 64 * IMAGES, form)
    assert training.execution == ran
    before = training.steps.repeated
    training.finished_step()
    assert training.steps.repeated - before == (form == "captured")


def test_a_step_that_is_not_captured_does_not_keep_the_training_waiting(
    track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.training.metered.engine_for", lambda device: StandInEngine())
    monkeypatch.setattr(StandInEngine, "capture", lambda engine, function: 1 / 0)
    monkeypatch.setattr("kdbench.timing.timed_training.MOST_STEPS_BEFORE_CAPTURE", 16)
    training = timed_training(track, "cnn-to-vit", "lm", CPU, 64 * IMAGES)
    assert training.execution.startswith("eager: the capture failed")
