"""The profile charts: the students of a method between their teachers, axis by axis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import TICKS, Band, Scale, Tick
from kdbench.leaderboard.rows import RowView
from kdbench.leaderboard.wording import Mark
from kdbench.scoring.arms import Arm
from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.scores import RowKind
from kdbench.spec import Axis

MarkRole = Literal["teacher", "independent", "student"]


_ROLES: Mapping[RowKind, MarkRole] = {
    "teacher": "teacher",
    "independent": "independent",
    "method": "student",
    "control": "student",
}


@dataclass(frozen=True)
class ProfileMark:
    """A value with its interval on a chart; `x`, `low` and `high` are in percent of the width."""

    role: MarkRole
    mark: Mark
    label: str
    words: str
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class ProfileAxis:
    """One axis of a profile chart.

    Attributes:
        band: from teacher to teacher, or from independent to the only teacher; None where one is undefined.
        references: teachers and independents.
        missing: which marks cannot be drawn, with the reason.
    """

    axis: Axis
    name: str
    hint: str
    band: Band | None
    references: tuple[ProfileMark, ...]
    students: tuple[ProfileMark, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class ProfileChart:
    """Teachers, independents and the students of one method on the five axes."""

    method: str
    description: str
    axes: tuple[ProfileAxis, ...]
    ticks: tuple[Tick, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not drawn and why, each reason once with the axes that it holds for."""
        axes_by_reason: dict[str, list[str]] = {}
        for axis in self.axes:
            for reason in axis.missing:
                axes_by_reason.setdefault(reason, []).append(axis.name)
        return tuple(f"{reason} ({', '.join(names)})" for reason, names in axes_by_reason.items())


def profile_charts(view: BoardView) -> tuple[ProfileChart, ...]:
    """Return one chart per method; without methods, one of teachers and independents."""
    scale = Scale.around(_interval_ends(view), 0.0, 1.0)
    ticks = tuple(Tick(scale.percent(value), wording.number(value, 1)) for value in TICKS)
    methods: Sequence[RowView | None] = view.methods or (None,)
    return tuple(_profile_chart(view, method, scale, ticks) for method in methods)


def _profile_chart(view: BoardView, method: RowView | None, scale: Scale, ticks: tuple[Tick, ...]) -> ProfileChart:
    axes = tuple(_profile_axis(view, method, axis, scale) for axis in wording.SHOWN_AXES)
    name = method.name if method else "teachers and independent"
    return ProfileChart(name, ". ".join(map(_axis_in_words, axes)) + ".", axes, ticks)


def _axis_in_words(axis: ProfileAxis) -> str:
    marks = "; ".join(mark.words for mark in (*axis.references, *axis.students))
    return f"{axis.name}: {marks or 'undefined'}"


def _interval_ends(view: BoardView) -> Iterator[float]:
    for row in view.rows:
        for arm in row.row.arms:
            for axis in arm.profile.axes.values() if arm.profile else ():
                if isinstance(axis.bias, Estimate):
                    yield from (axis.bias.low, axis.bias.high)


def _profile_axis(view: BoardView, method: RowView | None, axis: Axis, scale: Scale) -> ProfileAxis:
    references = [_mark(row, arm, axis, scale) for row in view.pinned for arm in row.row.arms]
    students = [_mark(method, arm, axis, scale) for arm in method.row.arms] if method else []
    drawn = tuple(mark for mark in references if isinstance(mark, ProfileMark))
    return ProfileAxis(
        axis=axis,
        name=wording.AXIS_NAMES[axis],
        hint=wording.AXIS_HINTS[axis],
        band=_band(drawn),
        references=drawn,
        students=tuple(mark for mark in students if isinstance(mark, ProfileMark)),
        missing=tuple(mark for mark in (*references, *students) if isinstance(mark, str)),
    )


def _mark(row: RowView, arm: Arm, axis: Axis, scale: Scale) -> ProfileMark | str:
    """Return the mark of an arm on an axis, or why there is none."""
    label = wording.reference_words(row.row, arm)
    if arm.profile is None or axis not in arm.profile.axes:
        return f"{label}: not scored"
    score: Score = arm.profile.axes[axis].bias
    if not isinstance(score, Estimate):
        return f"{label}: {score.reason}"
    low, high = wording.number(score.low), wording.number(score.high)
    words = f"{label} {wording.number(score.value)} [{low}, {high}]"
    ends = (scale.percent(score.value), scale.percent(score.low), scale.percent(score.high))
    return ProfileMark(_ROLES[row.row.kind], wording.mark_of(arm.teacher), label, words, *ends)


def _band(references: Sequence[ProfileMark]) -> Band | None:
    """Return the band between the teachers, or between independent and the only teacher."""
    ends = [mark.x for mark in references if mark.role == "teacher"]
    if len(ends) == 1:
        ends += [mark.x for mark in references if mark.role == "independent"]
    return Band(min(ends), round(max(ends) - min(ends), 2)) if len(ends) > 1 else None
