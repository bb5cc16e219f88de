"""What MLflow gets of a record."""

from statistics import fmean

import pytest

from kdbench.records import Predictions
from kdbench.scoring.measured import measure
from kdbench.scoring.resampling import Resampler
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec
from kdbench.tracking.values import biases, curve_metrics, run_tags
from tests.examples import a_record, answered
from tests.tracking.mirrored import share_right


def test_a_compiled_run_is_tagged_as_one() -> None:
    assert run_tags(a_record(compiled=True))["compiled"] == "yes"
    assert run_tags(a_record())["compiled"] == "no"


def test_the_terms_of_a_loss_are_grouped_raw_weighted_and_by_gradient() -> None:
    epoch = {
        "distillation": 3.0,
        "distillation_weighted": 2.7,
        "gradient_norm_distillation": 0.4,
        "kl(t, s)/T": 0.5,
        "gradient_norm_kl(t, s)/T": 0.1,
        "loss": 3.2,
        "train_accuracy": 0.8,
        "weight_weighted": 0.2,
    }
    assert list(curve_metrics(epoch)) == [
        "term/distillation",
        "term_weighted/distillation",
        "gradient_norm/distillation",
        "term/kl_t_ s__T",
        "gradient_norm/kl_t_ s__T",
        "epoch/loss",
        "epoch/train_accuracy",
        "epoch/weight_weighted",
    ]


def test_a_student_at_chance_has_no_bias() -> None:
    at_chance = {"clean": share_right(0.1), "shape": share_right(0.1)}
    assert biases(at_chance, load_spec().track("synthetic")) == {}


def test_bias_is_that_of_the_boards_where_a_set_covers_some_images_only() -> None:
    """Shapes were found in half of the images, and the network knows these worse: .8 clean, 1 on the others."""
    cifar, half = load_spec().track("cifar10-32"), range(100)
    answers: Predictions = {
        test_set.name: share_right(0.5) for test_set in cifar.test_sets if test_set.axis != "cue-conflict"
    }
    answers["clean"] = answered([row >= 20 for row in range(200)])
    answers["shape-white"] = answered([row < 40 for row in half], half)
    answers["shape-black"] = answered([row < 20 for row in half], half)
    bias_by_set, boards = biases(answers, cifar), measure(answers, cifar, Resampler(10)).axes
    assert bias_by_set["shape-white"] == pytest.approx((0.4 - 0.1) / (0.8 - 0.1))
    assert bias_by_set["shape-black"] == pytest.approx((0.2 - 0.1) / (0.8 - 0.1))
    for axis in BIAS_AXES:
        assert fmean(bias_by_set[test_set.name] for test_set in cifar.primary_sets(axis)) == pytest.approx(
            boards[axis].bias[0]
        )


def test_diagnostic_sets_of_the_spec_have_a_bias_too() -> None:
    answers = {"clean": share_right(0.9), "texture-field": share_right(0.5)}
    assert biases(answers, load_spec().track("synthetic")) == {"texture-field": pytest.approx(0.5)}
