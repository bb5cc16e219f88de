"""What MLflow gets of a record."""

from statistics import fmean

import pytest

from kdbench.plan.overrides import with_overrides
from kdbench.records import ControlTerms, Predictions
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.measured import measure
from kdbench.scoring.profiles import profile_of
from kdbench.scoring.resampling import Resampler
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec
from kdbench.tracking.values import biases, curve_metrics, parameters, run_tags
from tests.examples import a_record, answered
from tests.planned_runs import expanded, record_of
from tests.tracking.mirrored import share_right

SYNTHETIC, SCORING = load_spec().track("synthetic"), load_spec().scoring


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
        "term/kl_t_ s__T_30604d",
        "gradient_norm/kl_t_ s__T_30604d",
        "epoch/loss",
        "epoch/train_accuracy",
        "epoch/weight_weighted",
    ]


@pytest.mark.parametrize("share", [0.1, 0.15, 0.2, 0.25, 0.3, 0.5])
def test_bias_is_undefined_exactly_where_the_page_calls_it_so(share: float) -> None:
    answers = {
        test_set.name: share_right(share) for test_set in SYNTHETIC.test_sets if test_set.axis in ("clean", *BIAS_AXES)
    }
    resampler = Resampler(SCORING.bootstrap_samples)
    bias, reason = biases(answers, SYNTHETIC, SCORING, resampler)
    page = profile_of({0: measure(answers, SYNTHETIC, resampler)}, 10, SCORING).axes["shape"].bias
    assert ("shape" in bias) == isinstance(page, Estimate)
    assert reason == (page.reason.replace(" of seed 0", "") if isinstance(page, Undefined) else "")


def test_the_shares_of_the_test_above_lie_on_both_sides() -> None:
    known = {"clean": share_right(0.5), "shape": share_right(0.5)}
    guessed = {"clean": share_right(0.15), "shape": share_right(0.15)}
    assert [bool(biases(answers, SYNTHETIC, SCORING, Resampler(200))[0]) for answers in (known, guessed)] == [
        True,
        False,
    ]


def test_bias_is_that_of_the_boards_where_a_set_covers_some_images_only() -> None:
    """Shapes were found in half of the images, and the network knows these worse: .8 clean, 1 on the others."""
    cifar, half = load_spec().track("cifar10-32"), range(100)
    answers: Predictions = {
        test_set.name: share_right(0.5) for test_set in cifar.test_sets if test_set.axis != "cue-conflict"
    }
    answers["clean"] = answered([row >= 20 for row in range(200)])
    answers["shape-white"] = answered([row < 40 for row in half], half)
    answers["shape-black"] = answered([row < 20 for row in half], half)
    bias_by_set, _ = biases(answers, cifar, SCORING, Resampler(10))
    boards = measure(answers, cifar, Resampler(10)).axes
    assert bias_by_set["shape-white"] == pytest.approx((0.4 - 0.1) / (0.8 - 0.1))
    assert bias_by_set["shape-black"] == pytest.approx((0.2 - 0.1) / (0.8 - 0.1))
    for axis in BIAS_AXES:
        assert fmean(bias_by_set[test_set.name] for test_set in cifar.primary_sets(axis)) == pytest.approx(
            boards[axis].bias[0]
        )


def test_diagnostic_sets_of_the_spec_have_a_bias_too() -> None:
    answers = {"clean": share_right(0.9), "texture-field": share_right(0.5)}
    bias, undefined = biases(answers, SYNTHETIC, SCORING, Resampler(50))
    assert bias == {"texture-field": pytest.approx(0.5)}
    assert undefined == ""


def test_a_run_tells_epochs_batch_size_and_learning_rate() -> None:
    training = SYNTHETIC.training
    student, teacher = (
        record_of(run) for run in (expanded()[-1], next(run for run in expanded() if run.role == "teacher"))
    )
    params = [parameters(record, SYNTHETIC) for record in (student, teacher)]
    assert [each["epochs"] for each in params] == [str(training.student_epochs), str(training.teacher_epochs)]
    assert {each["batch_size"] for each in params} == {str(training.batch_size)}
    assert params[0]["learning_rate"] == str(SYNTHETIC.backbones[student.family].learning_rate)


def test_a_run_with_fewer_epochs_and_images_tells_its_own_epochs() -> None:
    track, reasons = with_overrides(SYNTHETIC, epochs=2, limit_train=300)
    record = record_of(expanded(track=track)[-1]).model_copy(update={"unofficial": reasons, "limit_train": 300})
    params = parameters(record, SYNTHETIC)  # its curves have two epochs
    assert (params["epochs"], params["batch_size"]) == ("2", str(SYNTHETIC.training.batch_size))


def test_a_control_that_trains_longer_tells_its_own_epochs() -> None:
    terms = ControlTerms(epochs_factor=2.0, snapshots=0)
    record = record_of(expanded()[-1]).model_copy(update={"control": True, "control_terms": terms})
    assert parameters(record, SYNTHETIC)["epochs"] == str(2 * SYNTHETIC.training.student_epochs)


def test_a_run_of_an_unknown_spec_tells_only_what_it_did() -> None:
    for track in (SYNTHETIC, None):
        params = parameters(a_record(), track)
        assert params["epochs"] == "2"
        assert params.keys().isdisjoint({"batch_size", "learning_rate"})
