"""Movement from the independent student towards one teacher: gap closed G, transfer index TI, drift and cosine.

With profiles d of the student, i of the independent one and t of the teacher, and a debiased squared distance D2,

    G = 1 - D2(d, t) / D2(i, t)                       TI = (d - i) . (t - i) / |t - i|^2

Both are 0 for a student that is as far from the teacher as the independent student, and 1 for a student that equals the
teacher. On the line d = i + L (t - i), TI = L and G = 1 - (1 - L)^2. Overshoot and movement off that line lower G but
not TI, which is therefore shown with the drift.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kdbench.scoring.distances import debiased_dot, is_apart, squared_length
from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.intervals import DIGITS, rounded
from kdbench.scoring.jackknife import fieller, jackknife_estimate, joint_spread, left_out
from kdbench.scoring.metrics import FloatArray
from kdbench.spec import Scoring

NO_GAP = "the independent student's and the teacher's profiles do not differ by more than their uncertainty"
NO_MOVEMENT = "the student's and the independent student's profiles do not differ by more than their uncertainty"


@dataclass(frozen=True)
class Triangle:
    """Profiles of the students, of the independent ones and of the teachers, paired by seed.

    Attributes:
        students, independents, teachers: (K, axes, 1 + S) chance-corrected bias; the data, then its resamples.
        images: number of test images that they rest on.
    """

    students: FloatArray
    independents: FloatArray
    teachers: FloatArray
    images: int

    @property
    def parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The three arrays, in the order in which the functions of this module take them."""
        return self.students, self.independents, self.teachers

    def axis(self, number: int) -> "Triangle":
        """Return the triangle on one axis alone, given its number."""
        axis = slice(number, number + 1)
        return Triangle(self.students[:, axis], self.independents[:, axis], self.teachers[:, axis], self.images)


def gap_closed(triangle: Triangle, scoring: Scoring) -> Score:
    """Return G with its jackknife-t interval, in (-inf, 1]; noise may raise it above 1 since distances are debiased.

    Undefined with fewer than `interval_seeds` seeds, and where the distance from independent to teacher may be 0.
    """
    return _scored(gap_number, triangle, scoring)


def transfer_index(triangle: Triangle, scoring: Scoring) -> Score:
    """Return TI with Fieller's interval.

    0: no movement; 1: to the teacher's profile; above 1: overshoot; below 0: away from the teacher.

    Undefined with fewer than `interval_seeds` seeds, and where the distance from independent to teacher may be 0.
    """
    too_few = _too_few(triangle, scoring)
    if too_few:
        return too_few
    terms = index_terms(*triangle.parts)
    folds = left_out(index_terms, [part[..., 0] for part in triangle.parts])
    along, gap = (float(term) for term in terms[:, 0])
    bounds = fieller(along, gap, joint_spread(terms, folds, scoring))
    if bounds is None:
        return Undefined(reason=NO_GAP)
    return rounded(along / gap, *bounds, images=triangle.images, seeds=len(triangle.students), over_seeds=True)


def drift(triangle: Triangle, scoring: Scoring) -> Score:
    """Return |(d - i) - TI (t - i)| / |t - i|: movement off the line to the teacher, in [0, inf), in units of the gap.

    The square is debiased and has the interval; the root is taken at the end, and is 0 for a negative square. Undefined
    where TI is.
    """
    return _rescaled(_scored(_squared_drift, triangle, scoring), lambda square: max(square, 0.0) ** 0.5)


def cosine(triangle: Triangle, scoring: Scoring) -> Score:
    """Return (d - i) . (t - i) / (|d - i| |t - i|), debiased and cut to [-1, 1]: the direction of the movement.

    Undefined where TI is, and where the student may not have moved at all.
    """
    too_few = _too_few(triangle, scoring)
    if too_few:
        return too_few
    if not is_apart(triangle.students - triangle.independents, scoring):
        return Undefined(reason=NO_MOVEMENT)
    score = _scored(_cosine_number, triangle, scoring, not_finite=NO_MOVEMENT)
    return _rescaled(score, lambda value: min(max(value, -1.0), 1.0))


def gap_terms(students: FloatArray, independents: FloatArray, teachers: FloatArray) -> FloatArray:
    """Return (2, ...) D2(d, t) and D2(i, t) of profiles (K, axes, ...), debiased by the variance over paired seeds."""
    return np.stack([_squared_distance(students, teachers), _squared_distance(independents, teachers)])


def gap_number(students: FloatArray, independents: FloatArray, teachers: FloatArray) -> FloatArray:
    """Return G itself; not finite where D2(i, t) is not above 0."""
    distance, gap = gap_terms(students, independents, teachers)
    return 1 - _quotient(distance, gap)


def _squared_distance(first: FloatArray, second: FloatArray) -> FloatArray:
    return squared_length(first - second)


def index_terms(students: FloatArray, independents: FloatArray, teachers: FloatArray) -> FloatArray:
    """Return (2, ...) the numerator and the denominator of TI, debiased by the covariance over paired seeds.

    Both factors of a product hold the noise of the independent student, so scatter over seeds would add to it.
    """
    moved, gap = students - independents, teachers - independents
    return np.stack([debiased_dot(moved, gap), squared_length(gap)])


def index_number(students: FloatArray, independents: FloatArray, teachers: FloatArray) -> FloatArray:
    """Return TI itself; not finite where the distance from independent to teacher is not above 0."""
    return _quotient(*index_terms(students, independents, teachers))


def _squared_drift(students: FloatArray, independents: FloatArray, teachers: FloatArray) -> FloatArray:
    moved, gap = students - independents, teachers - independents
    off_line = moved - index_number(students, independents, teachers) * gap
    return _quotient(squared_length(off_line), squared_length(gap))


def _cosine_number(students: FloatArray, independents: FloatArray, teachers: FloatArray) -> FloatArray:
    along, length = index_terms(students, independents, teachers)
    lengths = np.maximum(squared_length(students - independents), 0.0) * np.maximum(length, 0.0)
    return _quotient(along, np.sqrt(lengths))


def _quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, not finite where the denominator is not above 0."""
    shape = np.broadcast(numerator, denominator).shape
    quotient: FloatArray = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
    return quotient


def _scored(
    number: Callable[..., FloatArray], triangle: Triangle, scoring: Scoring, *, not_finite: str = NO_GAP
) -> Score:
    """Return a number of three seeds or more with its interval."""
    too_few = _too_few(triangle, scoring)
    if too_few:
        return too_few
    if not is_apart(triangle.teachers - triangle.independents, scoring):
        return Undefined(reason=NO_GAP)
    return jackknife_estimate(number, triangle.parts, triangle.images, scoring) or Undefined(reason=not_finite)


def _rescaled(score: Score, increasing: Callable[[float], float]) -> Score:
    """Return a score on another scale, given an increasing function, which maps its interval too."""
    if isinstance(score, Undefined):
        return score
    rescaled = {key: round(increasing(getattr(score, key)), DIGITS) for key in ("value", "low", "high")}
    return score.model_copy(update=rescaled)


def _too_few(triangle: Triangle, scoring: Scoring) -> Undefined | None:
    seeds = len(triangle.students)
    return Undefined(reason=needs_seeds(seeds, scoring)) if seeds < scoring.interval_seeds else None


def needs_seeds(seeds: int, scoring: Scoring) -> str:
    """Return why a number that needs an interval over seeds does not exist yet."""
    return f"{scoring.interval_seeds} seeds are needed, the row has {seeds}"
