"""Transfer: the part of the difference between two teachers that shows between their students.

The two students of a seed have the same method and differ in nothing but their teacher, A or B. With profiles c of the
students d and of the teachers t, and sums over seeds s and over the axes of the profile,

    transfer = sum_s [c(d_A) - c(d_B)] . [c(t_A) - c(t_B)] / sum_s |c(t_A) - c(t_B)|^2

It is 0 if the teacher has no effect on the student, 1 if the student has all of the difference, above 1 if it has more,
and below 0 if the student moved away. Effects that both students share cancel. Sums are pooled before they are divided,
so a seed whose teachers differ little weighs little.

The same number answers both questions: alpha for natural teachers of two families, tau for planted teachers of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.scoring.distances import is_apart
from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.intervals import StandardErrors, rounded, t_quantile
from kdbench.scoring.jackknife import fieller, jackknife_covariance, joint_spread, left_out
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

    def axis(self, number: int) -> "Contrast":
        """Return the contrast on one axis alone, given its number."""
        axis = slice(number, number + 1)
        return Contrast(self.students[:, axis], self.teachers[:, axis], self.images)

    def of_seeds(self, places: Sequence[int]) -> "Contrast":
        """Return the contrast of some seeds, given their places in the order of the seeds."""
        return Contrast(self.students[places], self.teachers[places], self.images)

    def products(self) -> FloatArray:
        """Return the numerator and the denominator of transfer per seed, (K, 2, 1 + S).

        What the finite test sets add to a product on average, the covariance of its factors over resamples of the
        images, is subtracted. Scatter over seeds is not: the difference between the two teachers of a seed is what its
        students were given, so it is no error.
        """
        factors = ((self.students, self.teachers), (self.teachers, self.teachers))
        return np.stack([_unbiased_products(*pair) for pair in factors], axis=1)


def _unbiased_products(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return (K, 1 + S) products of the seeds' profiles (K, axes, 1 + S), without their covariance over images."""
    deviations = [part[..., 1:] - part[..., 1:].mean(axis=-1, keepdims=True) for part in (first, second)]
    covariance = (deviations[0] * deviations[1]).sum(axis=(1, 2)) / (first.shape[-1] - 2)
    products: FloatArray = (first * second).sum(axis=1) - covariance[:, None]
    return products


def pooled(products: FloatArray) -> FloatArray:
    """Return the mean over seeds of (K, ...) numbers."""
    mean: FloatArray = products.sum(axis=0) / len(products)  # `mean` is slow on few numbers
    return mean


def transfer_number(products: FloatArray) -> FloatArray:
    """Return transfer, (...), from products per seed, (K, 2, ...); not finite where the denominator is 0."""
    numerator, denominator = pooled(products)
    with np.errstate(divide="ignore", invalid="ignore"):
        number: FloatArray = numerator / denominator
    return number


def transfer(contrast: Contrast, scoring: Scoring) -> Score:
    """Return transfer with its interval, which covers seeds and images from `interval_seeds` on.

    Over seeds, it is the jackknife-t interval of the quotient, given the teachers: how much the pairs of teachers
    differ is decided by their doses and is no error. Over images, it is Fieller's, since the images' error of the
    denominator may be large. Transfer is undefined where the teachers may not differ, or not in the same way on all
    seeds: single networks always differ by chance.

    Args:
        contrast: of students and teachers.
        scoring: confidence and the number of seeds.
    """
    if not is_apart(_directions(contrast.teachers), scoring):
        return Undefined(reason=TOO_ALIKE)
    products = contrast.products()
    seeds = len(products)
    over_seeds = seeds >= scoring.interval_seeds
    terms = pooled(products)
    numerator, denominator = (float(term) for term in terms[:, 0])
    spread = joint_spread(terms, None, scoring)
    if over_seeds:
        spread[0, 0] += (t_quantile(scoring.confidence, seeds - 1) * denominator * _error_over_seeds(products)) ** 2
    bounds = fieller(numerator, denominator, spread)
    if bounds is None:
        return Undefined(reason=TOO_ALIKE)
    return rounded(numerator / denominator, *bounds, images=contrast.images, seeds=seeds, over_seeds=over_seeds)


def _directions(differences: FloatArray) -> FloatArray:
    """Return (K, axes, ...) differences divided by their length, so that the doses of the seeds do not matter."""
    length = np.linalg.norm(differences, axis=1, keepdims=True)
    directions: FloatArray = np.divide(differences, length, out=np.zeros_like(differences), where=length > 0)
    return directions


def _error_over_seeds(products: FloatArray) -> float:
    """Return the jackknife's standard error of transfer over seeds, from products per seed, (K, 2, 1 + S)."""
    folds = left_out(transfer_number, [products[..., :1]])
    return float(np.sqrt(jackknife_covariance(folds)[0, 0]))


def transfer_by_pair(contrast: Contrast, seeds: Sequence[int], pairs: int, scoring: Scoring) -> dict[int, Score]:
    """Return transfer of the seeds of each pair of pretrained weights, by the pair's number.

    Args:
        contrast: of students and teachers.
        seeds: of the contrast, in its order; seed k starts from pair k modulo `pairs`.
        pairs: number of pairs of the track; 0 without pretrained weights of its own.
        scoring: confidence and the number of seeds.

    Returns:
        Nothing where all seeds start from the same weights.
    """
    places: dict[int, list[int]] = {}
    for place, seed in enumerate(seeds):
        places.setdefault(seed % pairs if pairs else 0, []).append(place)
    if len(places) < 2:
        return {}
    return {pair: transfer(contrast.of_seeds(places[pair]), scoring) for pair in sorted(places)}


def transfer_by_seed(contrast: Contrast, seeds: Sequence[int], scoring: Scoring) -> dict[int, Score]:
    """Return transfer of each seed alone, by seed; its intervals cover images only.

    Args:
        contrast: of students and teachers.
        seeds: of the contrast, in its order.
        scoring: confidence and the number of seeds.
    """
    return {seed: transfer(contrast.of_seeds([place]), scoring) for place, seed in enumerate(seeds)}


def excess(contrast: Contrast, margin: float) -> tuple[float, StandardErrors]:
    """Return a number with the sign of transfer minus `margin`, with its errors: tests rest on it.

    It is N - margin Q, with N and Q the numerator and the denominator of transfer. A test of it at one-sided level p
    rejects where the interval of confidence 1 - 2 p excludes the margin.

    Args:
        contrast: of students and teachers whose transfer is defined, at least 2 seeds.
        margin: in the unit of transfer.
    """
    products = contrast.products()
    numerator, denominator = pooled(products)
    difference = numerator - margin * denominator
    over_seeds = float(denominator[0]) * _error_over_seeds(products)
    return float(difference[0]), StandardErrors(over_seeds, float(difference[1:].std(ddof=1)), len(products))


def transfer_by_axis(contrast: Contrast, axes: Sequence[Axis], scoring: Scoring) -> dict[Axis, Score]:
    """Return transfer on each axis on which the teachers differ by at least `teacher_axis_gap` on average."""
    gaps = np.abs(contrast.teachers[:, :, 0].mean(axis=0))
    live = [number for number, gap in enumerate(gaps) if gap >= scoring.teacher_axis_gap]
    return {axes[number]: transfer(contrast.axis(number), scoring) for number in live}
