"""Transfer: how much of the difference between two teachers with opposite planted biases shows in their students.

    tau = [c(d_A) - c(d_B)] . [c(t_A) - c(t_B)] / |c(t_A) - c(t_B)|^2

over the axes of the profile c. 0: the teacher's bias leaves no trace; 1: fully inherited. What both arms share cancels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.scoring.intervals import fieller, jackknife_covariance, normal_quantile, rounded, t_quantile
from kdbench.scoring.metrics import Floats
from kdbench.scoring.scores import Score, Undefined
from kdbench.spec import Axis, Scoring

TOO_ALIKE = "the two teachers' profiles do not differ by more than their uncertainty"


@dataclass(frozen=True)
class Contrast:
    """Profiles of seed-paired networks: those of arm A minus those of arm B.

    Attributes:
        students, teachers: (K, axes, 1 + S) differences of chance-corrected bias; the data, then its resamples.
        images: test images that they rest on.
    """

    students: Floats
    teachers: Floats
    images: int

    def axis(self, number: int) -> "Contrast":
        """The contrast on one axis alone."""
        one = slice(number, number + 1)
        return Contrast(self.students[:, one], self.teachers[:, one], self.images)


def transfer(contrast: Contrast, scoring: Scoring) -> Score:
    """tau with its interval: debiased for paired seeds from 2 seeds on, over seeds and images from `interval_seeds` on.

    The interval is Fieller's, so a poorly known denominator widens it, and one that may be 0 makes tau undefined.
    """
    seeds = len(contrast.students)
    terms = transfer_terms(contrast.students, contrast.teachers)
    over_seeds = seeds >= scoring.interval_seeds
    spread = normal_quantile(scoring.confidence) ** 2 * np.cov(terms[:, 1:])
    if over_seeds:
        spread = spread + t_quantile(scoring.confidence, seeds - 1) ** 2 * _seed_covariance(contrast)
    numerator, denominator = (float(term) for term in terms[:, 0])
    bounds = fieller(numerator, denominator, spread)
    if bounds is None:
        return Undefined(reason=TOO_ALIKE)
    return rounded(numerator / denominator, *bounds, images=contrast.images, seeds=seeds, over_seeds=over_seeds)


def transfer_by_axis(contrast: Contrast, axes: Sequence[Axis], scoring: Scoring) -> dict[Axis, Score]:
    """tau of each axis on which the teachers differ by at least `planted_axis_gap`."""
    gaps = np.abs(contrast.teachers[:, :, 0].mean(axis=0))
    live = [number for number, gap in enumerate(gaps) if gap >= scoring.planted_axis_gap]
    return {axes[number]: transfer(contrast.axis(number), scoring) for number in live}


def transfer_terms(students: Floats, teachers: Floats) -> Floats:
    """Numerator and denominator of tau, each an unbiased estimate from 2 seeds on.

    A product of means over K seeds is too large by the covariance of the factors over K, which is subtracted.

    Args:
        students, teachers: (K, axes, ...) differences between the arms, seed by seed.

    Returns:
        (2, ...).
    """
    return np.stack([_debiased_dot(students, teachers), _debiased_dot(teachers, teachers)])


def _debiased_dot(first: Floats, second: Floats) -> Floats:
    seeds = len(first)
    mean_first, mean_second = first.mean(axis=0), second.mean(axis=0)
    products = mean_first * mean_second
    if seeds > 1:
        covariance = ((first - mean_first) * (second - mean_second)).sum(axis=0) / (seeds - 1)
        products = products - covariance / seeds
    dot: Floats = products.sum(axis=0)
    return dot


def _seed_covariance(contrast: Contrast) -> Floats:
    students, teachers = contrast.students[..., 0], contrast.teachers[..., 0]
    left_out = [
        transfer_terms(np.delete(students, seed, axis=0), np.delete(teachers, seed, axis=0))
        for seed in range(len(students))
    ]
    return jackknife_covariance(np.array(left_out))
