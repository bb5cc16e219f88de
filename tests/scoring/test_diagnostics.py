"""Diagnostics of an arm: what is compared with what, averaged over which sets, and what stays undefined."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kdbench.records import Predictions
from kdbench.scoring.answers import ImageUnits, TestImages
from kdbench.scoring.arms import Diagnostics
from kdbench.scoring.diagnostics import Diagnosis, Party
from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.measured import MeasuredRun, measure
from kdbench.scoring.resampling import Resampler
from kdbench.scoring.statistic import mean
from kdbench.testsets.spec import load_spec
from tests.scoring.answers_of_runs import a_run
from tests.scoring.boards import estimated

SPEC = load_spec()
TRACK = SPEC.tracks["synthetic"]
DIAGNOSIS = Diagnosis(TRACK, SPEC.scoring)
RESAMPLER = Resampler(50)
Labels = NDArray[np.int16]


def measured(predictions: Predictions) -> MeasuredRun:
    return measure(predictions, TRACK, RESAMPLER)


def guesses(entropy: int, like: Predictions | None = None, share: float = 0.0) -> Predictions:
    """Answers drawn at random; a share of the images gets the answers of another network."""
    random, guessed = np.random.default_rng(entropy), {}
    for name, answers in a_run(clean=0.6).items():
        label = random.integers(0, 10, len(answers.label)).astype(np.int16)
        if like is not None:
            label = np.where(random.random(len(label)) < share, like[name].label, label)
        guessed[name] = replace(answers, label=label)
    return guessed


def diagnosed(*parties: Party) -> Diagnostics:
    return DIAGNOSIS.of(parties)


def party(student: Predictions, independent: Predictions, teacher: Predictions, **likeness: float) -> Party:
    return Party(measured(student), measured(independent), measured(teacher), likeness, {"cka": 0.2})


def trio(seed: int) -> Party:
    """A student with half of its teacher's answers, an independent one with none."""
    teacher = guesses(10 * seed)
    return party(guesses(10 * seed + 1, teacher, 0.5), guesses(10 * seed + 2), teacher, cka=0.5 + 0.1 * seed)


def test_likeness_counts_only_over_that_of_the_independent_student() -> None:
    likeness = diagnosed(trio(0), trio(1), trio(2)).likeness["manipulated"]
    gain = estimated(likeness.label_kappa_gain)
    assert gain.value == pytest.approx(0.5, abs=0.06)
    assert estimated(likeness.agreement).value == pytest.approx(0.55, abs=0.06)
    assert (gain.seeds, gain.covers) == (3, "seeds and images")


def test_a_student_that_is_no_more_like_its_teacher_than_independent_gains_nothing() -> None:
    parties = [party(guesses(3 * k), guesses(3 * k + 1), guesses(3 * k + 2)) for k in range(3)]
    gain = estimated(diagnosed(*parties).likeness["manipulated"].label_kappa_gain)
    assert gain.low < 0 < gain.high


def test_a_set_on_which_a_number_is_undefined_for_one_network_is_left_out_for_all() -> None:
    """Error consistency needs 30 errors: a teacher without any on one set leaves the other six."""
    teacher = guesses(1)
    perfect = teacher | {"shape": replace(teacher["shape"], label=teacher["shape"].target)}
    likeness = diagnosed(party(guesses(2), guesses(3), perfect)).likeness["manipulated"]
    assert estimated(likeness.error_consistency).images == 200
    assert estimated(likeness.label_kappa).value != estimated(likeness.error_consistency).value


def test_without_an_independent_student_likeness_stands_alone() -> None:
    run = measured(guesses(1))
    likeness = diagnosed(Party(run, None, measured(guesses(2)))).likeness["clean"]
    assert estimated(likeness.agreement).value == pytest.approx(0.1, abs=0.07)
    assert likeness.label_kappa_gain == Undefined(reason="a seed has no independent student to compare with")


def test_without_a_teacher_there_is_no_likeness_but_calibration() -> None:
    diagnostics = diagnosed(Party(measured(a_run(clean=0.9))))
    assert diagnostics.likeness == {}
    assert estimated(diagnostics.calibration_error).value == pytest.approx(0.1)  # confidence 1, accuracy .9


def test_one_seed_has_intervals_over_images_alone() -> None:
    assert estimated(diagnosed(trio(0)).likeness["clean"].agreement).covers == "images"


def test_answers_that_tiles_do_not_change_are_fully_consistent() -> None:
    run = a_run()
    constant = {
        name: replace(run[name], label=run["clean"].label) for name in ("scramble-2", "scramble-4", "scramble-8")
    }
    diagnostics = diagnosed(Party(measured(run | constant)))
    assert estimated(diagnostics.permutation_consistency).value == 1
    assert estimated(diagnostics.permutation_kappa).value == pytest.approx(1)


def test_further_permutations_of_a_grid_are_averaged() -> None:
    run = a_run()
    label, other = run["clean"].label, ((run["clean"].label + 1) % 10).astype(np.int16)
    first = {"scramble-2": replace(run["scramble-2"], label=label)}
    two = first | {"scramble-2-permutation-1": replace(run["scramble-2"], label=other)}
    single, both = (
        estimated(diagnosed(Party(measured(without(run, "scramble-4", "scramble-8") | some))).permutation_consistency)
        for some in (first, two)
    )
    assert (single.value, both.value) == (1.0, 0.5)


def without(predictions: Predictions, *names: str) -> Predictions:
    return {name: answers for name, answers in predictions.items() if name not in names}


def test_numbers_of_whole_runs_need_three_seeds_and_every_record_to_have_them() -> None:
    three = diagnosed(trio(0), trio(1), trio(2)).scalars["cka"]
    assert estimated(three).value == pytest.approx(0.6)
    assert estimated(three).covers == "seeds"
    assert diagnosed(trio(0)).scalars["cka"] == Undefined(reason="3 seeds are needed, the row has 1")
    bare = replace(trio(2), likeness={})
    assert diagnosed(trio(0), trio(1), bare).scalars == {}


def test_likeness_of_features_counts_over_that_of_the_independent_student() -> None:
    diagnostics = diagnosed(trio(0), trio(1), trio(2))
    assert estimated(diagnostics.scalar_gains["cka"]).value == pytest.approx(0.4)
    assert diagnosed(*(replace(trio(seed), independent_likeness={}) for seed in range(3))).scalar_gains == {}


def test_what_lies_on_the_object_is_shown_where_every_seed_knows_it() -> None:
    """Of networks without a teacher as well."""
    parties = [Party(measured(a_run()), on_object=0.5 + 0.1 * seed) for seed in range(3)]
    score = diagnosed(*parties).occlusion_on_object
    assert score is not None
    assert estimated(score).value == pytest.approx(0.6)
    assert diagnosed(*parties, Party(measured(a_run()))).occlusion_on_object is None


def test_shares_stay_shares() -> None:
    nearly = a_run(clean=0.99)
    scores: Mapping[str, Score] = {
        "agreement": diagnosed(party(nearly, nearly, nearly)).likeness["clean"].agreement,
        "calibration": diagnosed(Party(measured(nearly))).calibration_error,
    }
    assert all(0 <= estimated(score).low <= estimated(score).high <= 1 for score in scores.values())


def test_images_from_one_clean_image_are_one_unit_if_their_origins_are_known() -> None:
    clean = TestImages(np.arange(20, dtype=np.int16) % 10, np.arange(20, dtype=np.int32))
    half = TestImages(clean.target[:10], np.arange(10, dtype=np.int32))
    free = TestImages(clean.target, np.full(20, -1, np.int32))
    units = ImageUnits.of({"half": half, "free": free}, clean)
    assert units.count == 30
    assert len(units.strata) == 40
    assert len(np.unique(units.strata)) == 20
    statistic = units.average({"half": mean(np.arange(10)), "free": mean(np.zeros(20))})
    assert statistic.value == pytest.approx(2.25)
    assert (statistic.effects[20:] == 0).all()
    assert statistic.effects[:10] == pytest.approx((np.arange(10) - 4.5) / 10 / 2)
