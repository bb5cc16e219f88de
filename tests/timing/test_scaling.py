"""The scaling table: fits of known laws, what is said about them, and the measurement at tiny sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import linregress, t

from kdbench.errors import InputError
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from kdbench.timing.power_laws import fit_power_law
from kdbench.timing.scaling import (
    CARDS,
    IMAGE_SIZE,
    IMAGES,
    ScalingAxis,
    ScalingPoint,
    ScalingTable,
    predictions,
    read_scaling,
    scaling_lines,
)
from kdbench.timing.scaling_effort import ScalingEffort
from kdbench.timing.scaling_steps import resized_track, scaling_of_steps

SIZES = (64, 96, 128, 160)


def an_axis(exponent: float, name: str = IMAGE_SIZE, images: int = 4) -> ScalingAxis:
    points = tuple(ScalingPoint(size=size, seconds=(1e-3 * size**exponent,) * 3) for size in SIZES)
    return ScalingAxis(name=name, work="a step", images=images, points=points)


def a_table(*axes: ScalingAxis) -> ScalingTable:
    return ScalingTable(machine="a CPU, 2 cores", torch="2.6.0", device="cpu", axes=axes)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.2])
def test_a_law_without_noise_is_found(exponent: float) -> None:
    law = an_axis(exponent).law
    assert law is not None
    assert law.slope.value == pytest.approx(exponent, abs=1e-9)
    assert law.seconds(224).value == pytest.approx(1e-3 * 224**exponent)


def test_slope_and_interval_are_those_of_linear_regression() -> None:
    random = np.random.default_rng(0)
    seconds = [size**1.7 * np.exp(random.normal(0, 0.1)) for size in SIZES]
    law, known = fit_power_law(SIZES, seconds), linregress(np.log(SIZES), np.log(seconds))
    half = t.ppf(0.975, len(SIZES) - 2) * known.stderr
    assert (law.slope.value, law.slope.low) == pytest.approx((known.slope, known.slope - half))
    assert np.log(law.seconds(1.0).value) == pytest.approx(known.intercept)
    assert np.log(law.seconds(1.0).high) == pytest.approx(
        known.intercept + t.ppf(0.975, len(SIZES) - 2) * known.intercept_stderr
    )


def test_intervals_of_slopes_cover_the_true_one() -> None:
    random = np.random.default_rng(1)
    laws = [fit_power_law(SIZES, [size**1.5 * np.exp(random.normal(0, 0.1)) for size in SIZES]) for _ in range(1000)]
    assert 0.93 <= np.mean([law.slope.low <= 1.5 <= law.slope.high for law in laws]) <= 0.97


def test_a_slow_round_does_not_bend_the_law() -> None:
    slowness = (1.0, 3.0, 1.5)
    points = tuple(ScalingPoint(size=size, seconds=tuple(s * size**2 for s in slowness)) for size in SIZES)
    axis = ScalingAxis(name=IMAGES, work="an epoch", points=points)
    assert axis.typical_seconds == pytest.approx([1.5 * size**2 for size in SIZES])
    assert axis.law is not None
    assert (axis.law.slope.low, axis.law.slope.high) == pytest.approx((2.0, 2.0))


def test_two_sizes_have_no_slope() -> None:
    with pytest.raises(ValueError, match="too few"):
        fit_power_law((64, 96), (1.0, 2.0))
    axis = ScalingAxis(name=IMAGES, work="an epoch", points=an_axis(1.0).points[:2])
    assert axis.law is None
    assert "too few sizes" in scaling_lines(a_table(axis))[1]


def test_the_prediction_is_for_imagenet_and_says_that_nobody_measured_it() -> None:
    (line,) = predictions([an_axis(2.0), an_axis(1.0, IMAGES, 0)])
    days = 1e-3 * 224**2 / 4 * 1_281_167 / 86400
    assert "Extrapolated, not measured" in line
    assert f"{days:.3g} days" in line
    assert "largest measured size is 160 pixels" in line


def test_what_was_not_measured_is_said() -> None:
    lines = scaling_lines(a_table(ScalingAxis(name=CARDS, work="", reason="it needs two GPUs")))
    assert lines[0] == "a CPU, 2 cores, PyTorch 2.6.0, cpu"
    assert lines[1].split() == ["cards", "not", "measured:", "it", "needs", "two", "GPUs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.pop("axes"),
        lambda table: table.update(more=1),
        lambda table: table["axes"][0]["points"][0].update(size=0),
        lambda table: table["axes"][0]["points"][0].update(seconds=[-1.0]),
        lambda table: table["axes"][0].update(work="x" * 10**4),
    ],
)
def test_a_table_that_was_not_written_here_is_refused(change: object) -> None:
    table = json.loads(a_table(an_axis(1.0)).model_dump_json())
    assert read_scaling(json.dumps(table).encode(), Path("timing.json")) == a_table(an_axis(1.0))
    change(table)  # type: ignore[operator]
    with pytest.raises(InputError, match=r"timing\.json, which it did not write"):
        read_scaling(json.dumps(table).encode(), Path("timing.json"))


@pytest.fixture
def compact() -> Track:
    """The synthetic track in batches of 8."""
    track = load_spec().track("synthetic")
    return track.model_copy(update={"training": track.training.model_copy(update={"batch_size": 8})})


@pytest.fixture
def large() -> Track:
    """The paper's track with tiny networks."""
    track = load_spec().track("cifar10-224")
    cnn = {"architecture": "resnet18", "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}
    vit = {"architecture": "vit_tiny_patch16_224", "arguments": {"embed_dim": 24, "depth": 4, "num_heads": 3}}
    tiny = {"cnn": track.backbones.cnn.model_copy(update=cnn), "vit": track.backbones.vit.model_copy(update=vit)}
    return track.model_copy(update={"backbones": track.backbones.model_copy(update=tiny)})


def test_all_sizes_are_measured_in_every_round(compact: Track, large: Track) -> None:
    effort = ScalingEffort(images=(8, 16, 24), pixels=(32, 48, 64), batch=2, rounds=2)
    measured = scaling_of_steps("lm", torch.device("cpu"), effort, compact=compact, large=large)
    assert [axis.name for axis in measured.axes] == [IMAGES, IMAGE_SIZE, IMAGE_SIZE]
    sizes = [[point.size for point in axis.points] for axis in measured.axes]
    assert sizes == [[8, 16, 24], [32, 48, 64], [32, 48, 64]]
    assert all(len(point.seconds) == 2 for axis in measured.axes for point in axis.points)
    assert (measured.device, measured.torch) == ("cpu", torch.__version__)


def test_the_networks_of_another_size_are_otherwise_the_same(large: Track) -> None:
    track = resized_track(large, 64, 4)
    assert (track.data.image_size, track.training.batch_size) == (64, 4)
    assert track.backbones.vit.arguments == {**large.backbones.vit.arguments, "img_size": 64}
    assert track.backbones.cnn == large.backbones.cnn
