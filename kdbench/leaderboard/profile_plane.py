"""The picture of a board: how far pupils move from the independent student towards their teachers, on two axes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import Scale, Tick, round_values
from kdbench.leaderboard.rows import RowView
from kdbench.leaderboard.wording import Mark
from kdbench.scoring.arms import Arm
from kdbench.scoring.estimates import Estimate
from kdbench.spec import Axis

_Place = tuple[float, float]


@dataclass(frozen=True)
class PlanePoint:
    """A teacher or the independent student; `x` and `y` are in percent, y downwards."""

    role: Literal["teacher", "independent"]
    mark: Mark
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class PlaneArrow:
    """The way from the independent student to the students of one teacher of a method.

    Attributes:
        words: the method, the teacher and the values, for people.
        leading: whether the board's sentence is about this method.
        ends: x1, y1, x2, y2 in percent, y downwards.
    """

    name: str
    words: str
    mark: Mark
    leading: bool
    ends: tuple[float, float, float, float]


@dataclass(frozen=True)
class ProfilePlane:
    """The picture.

    Attributes:
        axes: across and up: the two axes on which the two teachers differ most, the larger difference first.
        points: teachers and the independent student.
        arrows: of all methods, the leading one last, so that it is drawn above the others.
        across, up: ticks; positions in percent, `up` downwards.
    """

    view: BoardView
    axes: tuple[Axis, Axis]
    points: tuple[PlanePoint, ...]
    arrows: tuple[PlaneArrow, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]

    @property
    def description(self) -> str:
        """The picture in words."""
        return "; ".join(arrow.words for arrow in self.arrows)

    def crowds(self, teacher: PlanePoint) -> bool:
        """Return whether a teacher lies so close to the independent student that its label would cover the mark."""
        alone = self.independent
        return teacher is not alone and abs(teacher.x - alone.x) < 25 and abs(teacher.y - alone.y) < 12

    @property
    def crowded(self) -> bool:
        """Whether a teacher lies so close to the independent student that their labels would overlap."""
        return any(self.crowds(point) for point in self.points)

    @property
    def independent(self) -> PlanePoint:
        """Where all arrows start."""
        return next(point for point in self.points if point.role == "independent")


def profile_plane(view: BoardView, leader: RowView | None) -> ProfilePlane | None:
    """Return the picture of a board; None without two teachers and an independent student on two axes.

    Args:
        view: of the board.
        leader: the method to stand out; None for none.
    """
    teachers = [arm for row in view.pinned if row.row.kind == "teacher" for arm in row.row.arms]
    alone = next((arm for row in view.pinned if row.row.kind == "independent" for arm in row.row.arms), None)
    if len(teachers) != 2 or alone is None or (axes := _axes(teachers, alone)) is None:
        return None
    students = [(row, arm) for row in view.methods for arm in row.row.arms if _place(arm, axes)]
    students.sort(key=lambda pair: pair[0] is leader)
    known = [place for arm in (*teachers, alone, *(arm for _, arm in students)) if (place := _place(arm, axes))]
    across, up = (Scale(min(values), max(values), margin=9.0) for values in zip(*known, strict=True))
    points = tuple(_point(arm, axes, across, up) for arm in (*teachers, alone))
    return ProfilePlane(
        view=view,
        axes=axes,
        points=points,
        arrows=tuple(_arrow(row, arm, axes, points[-1], (across, up), leader) for row, arm in students),
        across=_ticks(across),
        up=tuple(Tick(round(100 - tick.x, 2), tick.text) for tick in _ticks(up)),
    )


def _axes(teachers: Sequence[Arm], alone: Arm) -> tuple[Axis, Axis] | None:
    """Return the two axes on which the teachers differ most, of those that all three networks have."""
    first, second = teachers
    gaps = {
        axis: abs(values[0] - values[1])
        for axis in wording.SHOWN_AXES
        if len(values := [*_values((first, second, alone), axis)]) == 3
    }
    if len(gaps) < 2:
        return None
    across, up, *_ = sorted(gaps, key=lambda axis: -gaps[axis])
    return across, up


def _values(arms: Sequence[Arm], axis: Axis) -> Iterator[float]:
    for arm in arms:
        score = arm.profile.axes[axis].bias if arm.profile and axis in arm.profile.axes else None
        if isinstance(score, Estimate):
            yield score.value


def _place(arm: Arm, axes: tuple[Axis, Axis]) -> _Place | None:
    values = [value for axis in axes for value in _values([arm], axis)]
    return (values[0], values[1]) if len(values) == 2 else None


def _point(arm: Arm, axes: tuple[Axis, Axis], across: Scale, up: Scale) -> PlanePoint:
    x, y = _place(arm, axes) or (0.0, 0.0)
    label = wording.teacher_words(arm.teacher) if arm.teacher else "independent"
    role: Literal["teacher", "independent"] = "teacher" if arm.teacher else "independent"
    return PlanePoint(role, wording.mark_of(arm.teacher), label, across.percent(x), round(100 - up.percent(y), 2))


def _arrow(
    row: RowView,
    arm: Arm,
    axes: tuple[Axis, Axis],
    start: PlanePoint,
    scales: tuple[Scale, Scale],
    leader: RowView | None,
) -> PlaneArrow:
    x, y = _place(arm, axes) or (0.0, 0.0)
    end = (scales[0].percent(x), round(100 - scales[1].percent(y), 2))
    values = ", ".join(
        f"{wording.AXIS_NAMES[axis].lower()} {wording.number(value)}" for axis, value in zip(axes, (x, y), strict=True)
    )
    words = f"{row.name} {wording.arm_words(row.row, arm)}: {values}"
    return PlaneArrow(row.name, words, wording.mark_of(arm.teacher), row is leader, (start.x, start.y, *end))


def _ticks(scale: Scale) -> tuple[Tick, ...]:
    values = round_values(scale.low, scale.high, most=5)
    digits = 1 if all(round(value, 1) == value for value in values) else 2
    return tuple(Tick(scale.percent(value), wording.number(value, digits)) for value in values)
