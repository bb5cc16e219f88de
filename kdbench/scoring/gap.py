"""Movement from the independent student towards one teacher: gap closed G, transfer index TI, drift and cosine.

With profiles d of the student, i of the independent one and t of the teacher, D2 a debiased squared distance,

    G = 1 - D2(d, t) / D2(i, t)                       TI = (d - i) . (t - i) / |t - i|^2

0: no nearer than the independent student; 1: there. On the line d = i + L (t - i), TI = L and G = 1 - (1 - L)^2.
Overshoot and movement off that line lower G; TI does not notice them, which is why drift stands beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.scoring.intervals import DIGITS, Errors, errors_of, jackknife_estimate, joint_spread, left_out
from kdbench.scoring.metrics import Floats
from kdbench.scoring.scores import Estimate, Score, Undefined
from kdbench.scoring.transfer import Contrast, debiased_dot, transfer, transfer_number, transfer_terms
from kdbench.spec import Axis, Scoring

NO_GAP = "the independent student's and the teacher's profiles do not differ by more than their uncertainty"
NO_MOVEMENT = "the student's and the independent student's profiles do not differ by more than their uncertainty"


@dataclass(frozen=True)
class Triangle:
    """Profiles of a student, of the independent one and of the teacher, paired by seed.

    Attributes:
        students, alone, teachers: (K, axes, 1 + S) chance-corrected bias; the data, then its resamples.
        images: test images that they rest on.
    """

    students: Floats
    alone: Floats
    teachers: Floats
    images: int

    @property
    def parts(self) -> tuple[Floats, Floats, Floats]:
        return self.students, self.alone, self.teachers

    def axis(self, number: int) -> "Triangle":
        """The same on one axis alone."""
        one = slice(number, number + 1)
        return Triangle(self.students[:, one], self.alone[:, one], self.teachers[:, one], self.images)

    @property
    def movement(self) -> Contrast:
        """What the student and what the teacher are away from the independent student."""
        return Contrast(self.students - self.alone, self.teachers - self.alone, self.images)


def gap_closed(triangle: Triangle, scoring: Scoring) -> Score:
    """G with its jackknife-t interval, in (-inf, 1]; noise may carry it above 1 since distances are debiased.

    Undefined with fewer than `interval_seeds` seeds, and where the distance from independent to teacher may be 0.
    """
    return _scored(gap_number, triangle, scoring)


def gap_by_axis(triangle: Triangle, axes: Sequence[Axis], scoring: Scoring) -> dict[Axis, Score]:
    """What each axis contributes to G: [D2_b(i, t) - D2_b(d, t)] / D2(i, t); the contributions sum to G.

    Args:
        triangle: on these axes.
        axes: names, in the triangle's order.
        scoring: confidence and the number of seeds.
    """
    return {axis: _scored(_part_of_axis(number), triangle, scoring) for number, axis in enumerate(axes)}


def _part_of_axis(number: int) -> Callable[..., Floats]:
    def part(students: Floats, alone: Floats, teachers: Floats) -> Floats:
        one = slice(number, number + 1)
        distance, gap = gap_terms(students[:, one], alone[:, one], teachers[:, one])
        return _quotient(gap - distance, gap_terms(students, alone, teachers)[1])

    return part


def one_axis(closed: Score, by_axis: dict[Axis, Score], scoring: Scoring) -> Axis | None:
    """The axis that brings more than `one_axis_share` of a G above 0, if there is one."""
    parts = {axis: part.value for axis, part in by_axis.items() if isinstance(part, Estimate)}
    if not isinstance(closed, Estimate) or closed.value <= 0 or len(by_axis) < 2 or not parts:
        return None
    largest = max(parts, key=lambda axis: parts[axis])
    return largest if parts[largest] > scoring.one_axis_share * closed.value else None


def transfer_index(triangle: Triangle, scoring: Scoring) -> Score:
    """TI with Fieller's interval: 0 none, 1 the teacher's profile, above 1 overshoot, below 0 away from the teacher.

    Undefined with fewer than `interval_seeds` seeds, and where the distance from independent to teacher may be 0.
    """
    few = _too_few(triangle, scoring)
    return few or transfer(triangle.movement, scoring, too_alike=NO_GAP)


def drift(triangle: Triangle, scoring: Scoring) -> Score:
    """|(d - i) - TI (t - i)| / |t - i|: movement off the line to the teacher, in [0, inf), in units of the gap.

    Its square is debiased and has the interval; the root is taken at the end, 0 for a square below. Undefined where TI
    is.
    """
    return _shown(_scored(_squared_drift, triangle, scoring), lambda square: max(square, 0.0) ** 0.5)


def cosine(triangle: Triangle, scoring: Scoring) -> Score:
    """(d - i) . (t - i) / (|d - i| |t - i|), debiased and cut to [-1, 1]: the direction of the movement.

    Undefined where TI is, and where the student may not have moved at all.
    """
    few = _too_few(triangle, scoring)
    if few:
        return few
    if not _is_apart(triangle.students - triangle.alone, scoring):
        return Undefined(reason=NO_MOVEMENT)
    found = _scored(_cosine_number, triangle, scoring, not_finite=NO_MOVEMENT)
    return _shown(found, lambda value: min(max(value, -1.0), 1.0))


def gap_errors(triangle: Triangle) -> tuple[float, Errors]:
    """G with its errors over seeds and images: what a test of G > 0 rests on."""
    return float(gap_number(*triangle.parts)[0]), errors_of(gap_number, triangle.parts)


def gap_part_errors(triangle: Triangle, number: int) -> tuple[float, Errors]:
    """The same of what one axis, by its number, contributes to G."""
    part = _part_of_axis(number)
    return float(part(*triangle.parts)[0]), errors_of(part, triangle.parts)


def gap_terms(students: Floats, alone: Floats, teachers: Floats) -> Floats:
    """(2, ...) D2(d, t) and D2(i, t) of profiles (K, axes, ...), debiased with the variance of paired differences."""
    return np.stack([_squared_distance(students, teachers), _squared_distance(alone, teachers)])


def gap_number(students: Floats, alone: Floats, teachers: Floats) -> Floats:
    """G itself; not finite where D2(i, t) is not above 0."""
    distance, gap = gap_terms(students, alone, teachers)
    return 1 - _quotient(distance, gap)


def _squared_distance(first: Floats, second: Floats) -> Floats:
    return debiased_dot(first - second, first - second)


def _squared_drift(students: Floats, alone: Floats, teachers: Floats) -> Floats:
    moved, gap = students - alone, teachers - alone
    off_line = moved - transfer_number(moved, gap) * gap
    return _quotient(debiased_dot(off_line, off_line), debiased_dot(gap, gap))


def _cosine_number(students: Floats, alone: Floats, teachers: Floats) -> Floats:
    moved, gap = students - alone, teachers - alone
    along, length = transfer_terms(moved, gap)
    lengths = np.maximum(debiased_dot(moved, moved), 0.0) * np.maximum(length, 0.0)
    return _quotient(along, np.sqrt(lengths))


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient, not finite where the denominator is not above 0."""
    shape = np.broadcast(numerator, denominator).shape
    quotient: Floats = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
    return quotient


def _scored(number: Callable[..., Floats], triangle: Triangle, scoring: Scoring, *, not_finite: str = NO_GAP) -> Score:
    """A number of three seeds or more with its interval."""
    few = _too_few(triangle, scoring)
    if few:
        return few
    if not _is_apart(triangle.teachers - triangle.alone, scoring):
        return Undefined(reason=NO_GAP)
    return jackknife_estimate(number, triangle.parts, triangle.images, scoring) or Undefined(reason=not_finite)


def _shown(score: Score, increasing: Callable[[float], float]) -> Score:
    """A score on another scale; an increasing function carries its interval over."""
    if isinstance(score, Undefined):
        return score
    moved = {key: round(increasing(getattr(score, key)), DIGITS) for key in ("value", "low", "high")}
    return score.model_copy(update=moved)


def _too_few(triangle: Triangle, scoring: Scoring) -> Undefined | None:
    seeds = len(triangle.students)
    return Undefined(reason=needs_seeds(seeds, scoring)) if seeds < scoring.interval_seeds else None


def needs_seeds(seeds: int, scoring: Scoring) -> str:
    """Why a number that needs an interval over seeds is not there yet."""
    return f"needs {scoring.interval_seeds} seeds, has {seeds}"


def _is_apart(difference: Floats, scoring: Scoring) -> bool:
    """Whether the lower end of a debiased squared length's interval is above 0."""

    def length(one: Floats) -> Floats:
        return debiased_dot(one, one)

    whole = length(difference)
    folds = left_out(length, [difference[..., 0]])[:, None]
    spread = joint_spread(whole[None], folds, scoring).reshape(-1)[0]
    return bool(whole[0] > np.sqrt(spread))
