"""Dose-response: points and line, and when a row is called not proportional."""

import numpy as np
import pytest

from kdbench.scoring.dose_response import dose_response
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.scores import DoseResponse
from kdbench.scoring.transfer import Contrast, transfer
from kdbench.testsets.spec import load_spec
from tests.scoring.contrasts import GAP, contrast, noisy

SCORING = load_spec().scoring
DOSES = ((1.0, 0.5), (0.75, 0.25), (0.5, 0.0), (1.0, 0.0), (0.9, 0.3))
SIZES = np.array([high - low for high, low in DOSES])
OWN = 0.02  # standard deviation of c over seeds, of each network


def pairs(students: FloatArray, entropy: int) -> Contrast:
    """Teachers in proportion to the difference of their doses, students as given (K, axes); two networks' noise."""
    teachers = noisy(SIZES[:, None] * GAP, len(SIZES), [entropy, 1], spread=2**0.5 * OWN, image_error=0.006)
    spread = 2**0.5 * OWN
    return contrast(noisy(students, len(SIZES), [entropy, 2], spread=spread, image_error=0.006), teachers)


def independents(entropy: int, shared: float = 0.0) -> FloatArray:
    profiles: FloatArray = np.random.default_rng([entropy, 3]).normal(0, np.hypot(OWN, shared), (len(SIZES), len(GAP)))
    return profiles


def response(students: FloatArray, entropy: int) -> DoseResponse:
    line = dose_response(pairs(students, entropy), range(len(SIZES)), independents(entropy), SCORING)
    assert isinstance(line, DoseResponse)
    return line


def one_bit() -> FloatArray:
    """Students of a method that reads each teacher's cue, by a dose of more or less than one half, and nothing else."""
    read = np.array([[float(dose > 0.5) for dose in pair] for pair in DOSES])
    students: FloatArray = (read[:, 0] - read[:, 1])[:, None] * 0.8 * GAP
    return students


def test_students_in_proportion_lie_on_the_line_whose_slope_is_transfer() -> None:
    sample = pairs(0.4 * SIZES[:, None] * GAP, 1)
    line, tau = response(0.4 * SIZES[:, None] * GAP, 1), transfer(sample, SCORING)
    assert isinstance(tau, Estimate)
    assert line.slope == pytest.approx(tau.value, abs=1e-6)
    assert line.proportional
    assert [point.teachers for point in line.points] == pytest.approx(SIZES * np.linalg.norm(GAP), abs=0.1)
    for point in line.points:
        assert point.students == pytest.approx(line.slope * point.teachers, abs=0.1)


def test_a_probe_that_reads_one_bit_is_not_proportional() -> None:
    for entropy in range(20):
        line = response(one_bit(), entropy)
        assert line.slope > 0.5
        assert line.residual_spread > 3 * line.seed_spread
        assert not line.proportional


@pytest.mark.parametrize(("shared", "largest"), [(0.0, 0.075), (OWN, 0.04)])
def test_proportional_rows_are_labelled_as_rarely_as_said(shared: float, largest: float) -> None:
    """At most 5 %; what the students of a seed share varies over independent students alone and makes it rarer."""
    labelled = 0
    for entropy in range(400):
        sample = pairs(0.4 * SIZES[:, None] * GAP, entropy)
        line = dose_response(sample, range(5), independents(entropy, shared), SCORING)
        assert isinstance(line, DoseResponse)
        labelled += not line.proportional
    assert labelled / 400 <= largest


def test_too_few_seeds_or_independent_students_leave_it_undefined() -> None:
    sample = pairs(0.4 * SIZES[:, None] * GAP, 0)
    few = Contrast(sample.students[:2], sample.teachers[:2], sample.images)
    assert dose_response(few, (0, 1), independents(0), SCORING) == Undefined(reason="3 seeds are needed, the row has 2")
    assert isinstance(dose_response(sample, range(5), independents(0)[:1], SCORING), Undefined)
