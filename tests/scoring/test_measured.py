"""From answers to profiles: which images are compared with which, and what stays undefined."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdbench.errors import RecordError
from kdbench.records import Predictions, SetPredictions
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.intervals import estimate
from kdbench.scoring.measured import MeasuredRun, measure
from kdbench.scoring.profiles import near_chance, profile_of
from kdbench.scoring.resampling import Resampler
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec
from tests.scoring.answers_of_runs import IMAGES, TARGET, Labels, a_run, answers, first

SPEC = load_spec()
TRACK, CIFAR = SPEC.tracks["synthetic"], SPEC.tracks["cifar10-32"]


def measured(predictions: Mapping[str, SetPredictions], samples: int = 200) -> MeasuredRun:
    return measure(dict(predictions), TRACK, Resampler(samples))


AT_CHANCE = measured(a_run(clean=0.1))


def value(samples: NDArray[np.float64]) -> float:
    return float(samples[0])


def test_accuracy_bias_and_ratio_of_a_run() -> None:
    run = measured(a_run(shape=0.5))
    assert value(run.clean) == pytest.approx(0.9)
    assert value(run.axes["shape"].accuracy) == pytest.approx(0.5)
    assert value(run.axes["shape"].bias) == pytest.approx(0.4 / 0.8)
    assert value(run.axes["shape"].ratio) == pytest.approx(0.5 / 0.9)


def test_an_axis_is_the_mean_over_its_sets_and_leaves_diagnostics_out() -> None:
    run = measured(a_run(scramble_2=0.6, scramble_4=0.3, scramble_8=0.15, texture=0.2, texture_field=0.9))
    assert value(run.axes["scramble"].accuracy) == pytest.approx(0.35)
    assert value(run.axes["scramble"].bias) == pytest.approx((0.5 + 0.2 + 0.05) / 3 / 0.8)
    assert value(run.axes["texture"].accuracy) == pytest.approx(0.2)


def test_clean_accuracy_is_taken_on_the_images_that_a_set_was_made_from() -> None:
    """Half of the images are in the set; on these the network has .8 clean, on the others 1."""
    half = np.arange(IMAGES // 2)
    right = first(1.0)
    right[half] = first(0.8, len(half))
    shape = answers(first(0.4, len(half)), target=TARGET[half], index=half)
    run = measured(a_run() | {"clean": answers(right), "shape": shape})
    assert value(run.clean) == pytest.approx(0.9)
    assert value(run.axes["shape"].bias) == pytest.approx((0.4 - 0.1) / (0.8 - 0.1))
    assert run.axes["shape"].images == len(half)
    assert value(run.axes["noise"].bias) == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))


def test_a_set_without_origins_is_compared_with_all_clean_images() -> None:
    run = measured(a_run() | {"shape": answers(first(0.5), index=0 * TARGET - 1)})
    assert value(run.axes["shape"].bias) == pytest.approx(0.5)
    assert run.axes["shape"].images == IMAGES


def test_an_image_that_appears_twice_counts_twice() -> None:
    twice = np.concatenate([np.arange(IMAGES), np.arange(IMAGES)])
    right = np.concatenate([first(0.8), first(0.4)])
    run = measured(a_run() | {"noise": answers(right, target=TARGET[twice], index=twice)})
    assert value(run.axes["noise"].accuracy) == pytest.approx(0.6)
    assert run.axes["noise"].images == IMAGES


def test_resamples_pair_a_set_with_clean() -> None:
    """Where the same images are right, clean and manipulated, c is 1 in every resample."""
    run = measured(a_run(shape=0.9))
    assert run.axes["shape"].bias == pytest.approx(1)
    assert run.clean[1:].std() > 0.01


def test_both_polarities_make_the_shape_axis_of_cifar() -> None:
    names = [test_set.name for test_set in CIFAR.test_sets if test_set.axis != "cue-conflict"]
    predictions = {name: answers(first(0.9 if name == "clean" else 0.5)) for name in names}
    predictions["shape-white"], predictions["shape-black"] = answers(first(0.5)), answers(first(0.2))
    run = measure(predictions, CIFAR, Resampler(10))
    assert value(run.axes["shape"].accuracy) == pytest.approx(0.35)
    assert run.shape is None


@given(st.permutations(range(IMAGES)), st.permutations(range(IMAGES)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_images_does_not_matter(clean_order: list[int], set_order: list[int]) -> None:
    before = a_run(clean=0.85, noise=0.35)
    clean, noise, new_place = before["clean"], before["noise"], np.argsort(clean_order)

    def reordered(of_set: SetPredictions, order: list[int], index: Labels) -> SetPredictions:
        fields = {name: getattr(of_set, name)[order] for name in SetPredictions.__dataclass_fields__}
        return SetPredictions(**(fields | {"index": index.astype(np.int32)}))

    after = {name: reordered(of_set, list(range(IMAGES)), new_place[of_set.index]) for name, of_set in before.items()}
    after |= {"cue-conflict": reordered(before["cue-conflict"], set_order, 0 * TARGET - 1)}
    after |= {"clean": reordered(clean, clean_order, np.arange(IMAGES))}
    after |= {"noise": reordered(noise, set_order, new_place[noise.index[set_order]])}
    first, second = measured(before, 5), measured(after, 5)
    assert value(first.clean) == pytest.approx(value(second.clean))
    for axis in BIAS_AXES:
        assert value(first.axes[axis].bias) == pytest.approx(value(second.axes[axis].bias))
    assert (first.shape is not None, first.texture is not None) == (True, True)
    assert (value(first.shape), value(first.texture)) == (value(second.shape), value(second.texture))  # type: ignore[arg-type]


def test_an_origin_outside_the_clean_set_is_refused() -> None:
    with pytest.raises(RecordError, match="'noise' refers to clean image 1200, but there are 200"):
        measured(a_run() | {"noise": answers(first(0.5), index=np.arange(IMAGES) + 1001)})


def test_other_classes_than_the_clean_images_are_refused() -> None:
    with pytest.raises(RecordError, match="'noise' has other classes"):
        measured(a_run() | {"noise": answers(first(0.5), target=(TARGET + 3) % 10)})


def test_answers_without_a_clean_set_are_refused() -> None:
    predictions = a_run()
    del predictions["clean"]
    with pytest.raises(RecordError, match="no answers on the test set 'clean'"):
        measured(predictions)


def test_an_axis_with_a_missing_set_is_undefined_and_says_which() -> None:
    predictions = a_run()
    del predictions["scramble-4"]
    profile = profile_of({0: measured(predictions)}, 10, SPEC.scoring)
    assert profile.axes["scramble"].bias == Undefined(reason="there are no answers on scramble-4")
    assert isinstance(profile.axes["noise"].bias, Estimate)


def test_bias_of_a_student_at_chance_is_undefined_though_its_accuracy_is_shown() -> None:
    chance = {name.replace("-", "_"): 0.1 for name in a_run()}
    profile = profile_of({0: measured(a_run(**chance))}, 10, SPEC.scoring)
    assert isinstance(profile.axes["shape"].accuracy, Estimate)
    assert isinstance(profile.axes["shape"].bias, Undefined)
    assert "too near chance: the clean accuracy is 0.100" in profile.axes["shape"].bias.reason


@settings(deadline=None)
@given(st.floats(-0.05, 0.1), st.floats(0, 0.05), st.integers(0, 2**32 - 1))
def test_a_bias_is_meaningless_where_the_interval_of_clean_accuracy_is_near_chance(
    above: float, spread: float, entropy: int
) -> None:
    floor = 0.1 + SPEC.scoring.competence_margin
    clean = floor + above + spread * np.random.default_rng(entropy).uniform(-1, 1, 201)
    run = replace(AT_CHANCE, clean=np.clip(clean, 0, 1))
    interval = estimate(run.clean[None], run.images, SPEC.scoring, share=True)
    assert (near_chance({0: run}, 10, SPEC.scoring) is None) == (interval.low - 0.1 >= SPEC.scoring.competence_margin)


def test_one_seed_at_chance_is_not_hidden_by_good_ones() -> None:
    runs = {0: measured(a_run()), 1: measured(a_run(clean=0.15)), 2: measured(a_run())}
    bias = profile_of(runs, 10, SPEC.scoring).axes["shape"].bias
    assert isinstance(bias, Undefined)
    assert "seed 1" in bias.reason


def collapsed() -> Predictions:
    """A network that answers 3 to everything."""
    return {
        name: SetPredictions(**(vars(of_set) | {"label": np.full(IMAGES, 3, np.int16)}))
        for name, of_set in a_run().items()
    }


def test_a_collapsed_student_has_no_bias_and_no_shape_bias() -> None:
    profile = profile_of({0: measured(collapsed())}, 10, SPEC.scoring)
    assert isinstance(profile.clean, Estimate)
    assert profile.clean.value == pytest.approx(0.1)
    assert all(isinstance(profile.axes[axis].bias, Undefined) for axis in BIAS_AXES)
    assert profile.conflict is not None
    assert isinstance(profile.conflict.shape_bias, Undefined)


def test_shape_bias_with_both_hit_rates() -> None:
    conflict = profile_of({0: measured(a_run(cue_conflict=0.6))}, 10, SPEC.scoring).conflict
    assert conflict is not None
    scores = (conflict.shape, conflict.texture, conflict.shape_bias)
    assert [score.value for score in scores if isinstance(score, Estimate)] == pytest.approx([0.6, 0.4, 0.6])


@pytest.mark.parametrize(
    ("shape", "texture", "published"),
    [
        pytest.param(169, 621, 0.2139, id="ResNet-50"),
        pytest.param(607, 139, 0.8137, id="ResNet-50 trained on Stylized-ImageNet"),
    ],
)
def test_published_answers_give_the_published_shape_bias(shape: int, texture: int, published: float) -> None:
    """Of 1,200 conflict images, 75 a shape, so many are called by the shape, so many by the texture.

    Source: counted in the raw answers at github.com/wichmann-lab/error-consistency (`texture-shape_cue-conflict`); the
    shares are in the README of github.com/rgeirhos/texture-vs-shape.
    """
    target: Labels = np.arange(1200) % 10
    other, neither = (target + 1) % 10, (target + 2) % 10
    by_shape, by_either = first(shape / 1200, 1200), first((shape + texture) / 1200, 1200)
    label = np.where(by_shape, target, np.where(by_either, other, neither)).astype(np.int16)
    answered = replace(answers(by_shape, target=target, texture=other, index=0 * target - 1), label=label)
    conflict = profile_of({0: measured(a_run() | {"cue-conflict": answered})}, 10, SPEC.scoring).conflict
    assert conflict is not None
    scores = (conflict.shape_bias, conflict.shape, conflict.texture)
    assert [score.value for score in scores if isinstance(score, Estimate)] == pytest.approx(
        [published, shape / 1200, texture / 1200], abs=5e-5
    )


def test_shape_bias_needs_a_hundred_conflict_images() -> None:
    few = answers(first(0.6, 90), target=TARGET[:90], texture=(TARGET[:90] + 1) % 10, index=0 * TARGET[:90] - 1)
    conflict = profile_of({0: measured(a_run() | {"cue-conflict": few})}, 10, SPEC.scoring).conflict
    assert conflict is not None
    assert conflict.shape_bias == Undefined(reason="there are 90 cue-conflict images, but at least 100 are needed")
    assert isinstance(conflict.shape, Estimate)


def test_a_network_that_is_never_right_has_no_ratio() -> None:
    profile = profile_of({0: measured(a_run(clean=0.0))}, 10, SPEC.scoring)
    assert isinstance(profile.axes["noise"].ratio, Undefined)
    assert isinstance(profile.clean, Estimate)
    assert 0 < profile.clean.high < 0.03
