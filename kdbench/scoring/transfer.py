"""Transfer: the part of the difference between two teachers with opposite planted biases that students show.

    tau = [c(d_A) - c(d_B)] . [c(t_A) - c(t_B)] / |c(t_A) - c(t_B)|^2

over the axes of the profile c. It is 0 if the teacher's bias has no effect on the student, and 1 if the student has all
of it. Effects that both arms share cancel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.intervals import StandardErrors, rounded
from kdbench.scoring.jackknife import errors_of, fieller, joint_spread, left_out
from kdbench.scoring.metrics import FloatArray
from kdbench.spec import Axis, Scoring

TOO_ALIKE = "the two teachers' profiles do not differ by more than their uncertainty"


@dataclass(frozen=True)
class Contrast:
    """Profiles of seed-paired networks: those of arm A minus those of arm B.

    Attributes:
        students, teachers: (K, axes, 1 + S) differences of chance-corrected bias; the data, then its resamples.
        images: number of test images that they rest on.
    """

    students: FloatArray
    teachers: FloatArray
    images: int

    @property
    def data(self) -> tuple[FloatArray, FloatArray]:
        """(K, axes) each, without the resamples."""
        return self.students[..., 0], self.teachers[..., 0]

    def axis(self, number: int) -> "Contrast":
        """Return the contrast on one axis alone, given its number."""
        axis = slice(number, number + 1)
        return Contrast(self.students[:, axis], self.teachers[:, axis], self.images)


def transfer(contrast: Contrast, scoring: Scoring, *, too_alike: str = TOO_ALIKE) -> Score:
    """Return tau with its interval.

    tau is debiased for paired seeds from 2 seeds on; its interval covers seeds and images from `interval_seeds` on. The
    interval is Fieller's, so a poorly known denominator widens it, and one that may be 0 makes tau undefined.

    Args:
        contrast: of students and teachers.
        scoring: confidence and the number of seeds.
        too_alike: the reason, in words, where the denominator may be 0.
    """
    seeds = len(contrast.students)
    terms = transfer_terms(contrast.students, contrast.teachers)
    over_seeds = seeds >= scoring.interval_seeds
    folds = left_out(transfer_terms, contrast.data) if over_seeds else None
    numerator, denominator = (float(term) for term in terms[:, 0])
    bounds = fieller(numerator, denominator, joint_spread(terms, folds, scoring))
    if bounds is None:
        return Undefined(reason=too_alike)
    return rounded(numerator / denominator, *bounds, images=contrast.images, seeds=seeds, over_seeds=over_seeds)


def transfer_errors(contrast: Contrast) -> tuple[float, StandardErrors]:
    """Return the numerator of tau, whose sign is tau's, with its errors: a test of tau > 0 rests on it."""

    def numerator(students: FloatArray, teachers: FloatArray) -> FloatArray:
        return debiased_dot(students, teachers)

    parts = (contrast.students, contrast.teachers)
    return float(numerator(*parts)[0]), errors_of(numerator, parts)


def transfer_number(students: FloatArray, teachers: FloatArray) -> FloatArray:
    """Return tau itself; not finite where the denominator is 0."""
    numerator, denominator = transfer_terms(students, teachers)
    with np.errstate(divide="ignore", invalid="ignore"):
        tau: FloatArray = numerator / denominator
    return tau


def transfer_by_axis(contrast: Contrast, axes: Sequence[Axis], scoring: Scoring) -> dict[Axis, Score]:
    """Return tau of each axis on which the teachers differ by at least `planted_axis_gap`."""
    gaps = np.abs(contrast.teachers[:, :, 0].mean(axis=0))
    live = [number for number, gap in enumerate(gaps) if gap >= scoring.planted_axis_gap]
    return {axes[number]: transfer(contrast.axis(number), scoring) for number in live}


def transfer_terms(students: FloatArray, teachers: FloatArray) -> FloatArray:
    """Return numerator and denominator of tau, each an unbiased estimate from 2 seeds on.

    A product of means over K seeds is too large by the covariance of the factors over K, which is subtracted.

    Args:
        students, teachers: (K, axes, ...) differences between the arms, per seed.

    Returns:
        (2, ...).
    """
    return np.stack([debiased_dot(students, teachers), debiased_dot(teachers, teachers)])


def debiased_dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the product of two mean profiles, summed over axes, minus what their covariance over seeds adds to it.

    mean(a) . mean(b) - sum_axes Cov_k(a, b) / K; without the second term for one seed.

    Args:
        first, second: (K, axes, ...).

    Returns:
        (...).
    """
    seeds = len(first)
    mean_first, mean_second = first.sum(axis=0) / seeds, second.sum(axis=0) / seeds  # `mean` is slow on few numbers
    products = mean_first * mean_second
    if seeds > 1:
        covariance = ((first - mean_first) * (second - mean_second)).sum(axis=0) / (seeds - 1)
        products = products - covariance / seeds
    dot: FloatArray = products.sum(axis=0)
    return dot
