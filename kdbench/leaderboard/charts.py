"""Geometry of the page's charts, in percent of their width or height. Drawing is the templates' part."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView, RowView
from kdbench.records import Record
from kdbench.scoring.scores import Arm, Estimate, Score
from kdbench.spec import Axis, TeacherBias

Role = Literal["teacher", "independent", "student"]
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
NOT_PLOTTED = re.compile(r"^(seconds|learning_rate|gradient_norm_.*)$|_weighted$")


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] to [margin, 100 - margin] percent."""

    low: float
    high: float
    margin: float = 3.0

    @classmethod
    def around(cls, values: Iterable[float], low: float, high: float, margin: float = 3.0) -> "Scale":
        """The scale from `low` to `high`, widened to hold all values."""
        several = list(values)
        return cls(min([low, *several]), max([high, *several]), margin)

    def percent(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return round(self.margin + (100 - 2 * self.margin) * (value - self.low) / span, 2)


@dataclass(frozen=True)
class Mark:
    """A value with its interval on a chart; x, low and high in percent of the width."""

    role: Role
    bias: TeacherBias | None
    label: str
    words: str
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """From one percent of the width to another."""

    left: float
    width: float


@dataclass(frozen=True)
class ProfileAxis:
    """One axis of a profile chart.

    Attributes:
        band: from teacher to teacher, or from independent to the one teacher there is; None where one is undefined.
        missing: marks that cannot be drawn, with the reason.
    """

    axis: Axis
    name: str
    hint: str
    band: Band | None
    references: tuple[Mark, ...]
    students: tuple[Mark, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True)
class ProfileChart:
    """Teachers, independents and the students of one method on the five axes."""

    method: str
    description: str
    axes: tuple[ProfileAxis, ...]
    ticks: tuple[Tick, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not drawn and why, each reason once with the axes it holds for."""
        axes: dict[str, list[str]] = {}
        for axis in self.axes:
            for reason in axis.missing:
                axes.setdefault(reason, []).append(axis.name)
        return tuple(f"{text} ({', '.join(names)})" for text, names in axes.items())


def profile_charts(view: BoardView) -> tuple[ProfileChart, ...]:
    """One chart a method; without methods, one of teachers and independents."""
    scale = Scale.around(_ends(view), 0.0, 1.0)
    ticks = tuple(Tick(scale.percent(value), wording.number(value, 1)) for value in TICKS)
    rows: Sequence[RowView | None] = view.methods or (None,)
    return tuple(_profile_chart(view, row, scale, ticks) for row in rows)


def _profile_chart(view: BoardView, row: RowView | None, scale: Scale, ticks: tuple[Tick, ...]) -> ProfileChart:
    axes = tuple(_profile_axis(view, row, axis, scale) for axis in wording.SHOWN_AXES)
    name = row.name if row else "teachers and independent"
    parts = (
        f"{one.name}: {'; '.join(m.words for m in (*one.references, *one.students)) or 'undefined'}" for one in axes
    )
    return ProfileChart(name, ". ".join(parts) + ".", axes, ticks)


def _ends(view: BoardView) -> Iterator[float]:
    for row in view.rows:
        for arm in row.row.arms:
            for axis in arm.profile.axes.values() if arm.profile else ():
                if isinstance(axis.bias, Estimate):
                    yield from (axis.bias.low, axis.bias.high)


def _profile_axis(view: BoardView, method: RowView | None, axis: Axis, scale: Scale) -> ProfileAxis:
    references = [(row, arm) for row in view.pinned for arm in row.row.arms]
    students = [(method, arm) for arm in method.row.arms] if method else []
    marks = [_mark(row, arm, axis, scale) for row, arm in references]
    student_marks = [_mark(row, arm, axis, scale) for row, arm in students]
    drawn = tuple(mark for mark in marks if isinstance(mark, Mark))
    return ProfileAxis(
        axis=axis,
        name=wording.AXIS_NAMES[axis],
        hint=wording.AXIS_HINTS[axis],
        band=_band(drawn),
        references=drawn,
        students=tuple(mark for mark in student_marks if isinstance(mark, Mark)),
        missing=tuple(mark for mark in (*marks, *student_marks) if isinstance(mark, str)),
    )


def _mark(row: RowView, arm: Arm, axis: Axis, scale: Scale) -> Mark | str:
    """The mark of an arm on an axis, or why there is none."""
    roles: dict[str, Role] = {"teacher": "teacher", "independent": "independent", "method": "student"}
    label = wording.arm_words(row.row, arm.teacher_bias)
    label = label if row.row.kind == "method" else f"{row.row.kind}, {label}"
    if arm.profile is None or axis not in arm.profile.axes:
        return f"{label}: not scored"
    score: Score = arm.profile.axes[axis].bias
    if not isinstance(score, Estimate):
        return f"{label}: {score.reason}"
    low, high = wording.number(score.low), wording.number(score.high)
    words = f"{label} {wording.number(score.value)} [{low}, {high}]"
    ends = (scale.percent(score.value), scale.percent(score.low), scale.percent(score.high))
    return Mark(roles[row.row.kind], arm.teacher_bias, label, words, *ends)


def _band(references: Sequence[Mark]) -> Band | None:
    teachers = [mark.x for mark in references if mark.role == "teacher"]
    if len(teachers) == 1:
        teachers += [mark.x for mark in references if mark.role == "independent"]
    return Band(min(teachers), round(max(teachers) - min(teachers), 2)) if len(teachers) > 1 else None


@dataclass(frozen=True)
class ForestRow:
    """A method's transfer on the overview; percents of the width."""

    view: RowView
    anchor: str
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class ForestGroup:
    view: BoardView
    rows: tuple[ForestRow, ...]

    @property
    def images_only(self) -> bool:
        """Whether no interval of the group covers random seeds."""
        scores = [row.view.row.transfer for row in self.rows]
        return all(isinstance(score, Estimate) and score.covers == "images" for score in scores)


@dataclass(frozen=True)
class Forest:
    """The transfer of all methods on all boards, on one scale."""

    groups: tuple[ForestGroup, ...]
    ticks: tuple[Tick, ...]
    zero: float
    one: float


def forest(views: Sequence[BoardView]) -> Forest | None:
    """The overview chart, or None where no board has a defined transfer."""
    defined = [(view, row, row.row.transfer) for view in views for row in view.methods]
    drawn = [(view, row, score) for view, row, score in defined if isinstance(score, Estimate)]
    if not drawn:
        return None
    scale = Scale.around((end for *_, score in drawn for end in (score.low, score.high)), 0.0, 1.0)
    groups = []
    for view in views:
        mine = [(row, score) for one, row, score in drawn if one is view]
        rows = (ForestRow(row, view.anchor, *map(scale.percent, (s.value, s.low, s.high))) for row, s in mine)
        groups += [ForestGroup(view, tuple(rows))] if mine else []
    ticks = tuple(Tick(scale.percent(value), wording.number(value, 1)) for value in TICKS)
    return Forest(tuple(groups), ticks, scale.percent(0), scale.percent(1))


@dataclass(frozen=True)
class Curve:
    """One run's quantity over epochs; points as x, y in percent of the panel, y down."""

    bias: TeacherBias | None
    seed: int
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        return " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True)
class Panel:
    """One quantity of all runs of a row."""

    quantity: str
    curves: tuple[Curve, ...]
    low: str
    high: str
    epochs: int


@dataclass(frozen=True)
class CurveRow:
    view: RowView
    panels: tuple[Panel, ...]


def curve_rows(view: BoardView, records: Sequence[Record]) -> tuple[CurveRow, ...]:
    """Training curves of all rows of a board whose records are known."""
    rows = [CurveRow(row, _panels(runs_of(row, records))) for row in view.rows]
    return tuple(row for row in rows if row.panels)


def runs_of(row: RowView, records: Sequence[Record]) -> list[Record]:
    """The records of a row, by bias and seed."""
    wanted = {run_id for arm in row.row.arms for run_id in arm.run_ids}
    found = {record.run_id: record for record in records if record.run_id in wanted}
    return sorted(found.values(), key=lambda record: (record.teacher_bias or "", record.seed, record.run_id))


def _panels(runs: Sequence[Record]) -> tuple[Panel, ...]:
    quantities = {key for run in runs for epoch in run.curves for key in epoch if not NOT_PLOTTED.search(key)}
    return tuple(_panel(key, runs) for key in sorted(quantities, key=lambda key: ("accuracy" not in key, key)))


def _panel(quantity: str, runs: Sequence[Record]) -> Panel:
    values = [[epoch[quantity] for epoch in run.curves if quantity in epoch] for run in runs]
    finite = [value for line in values for value in line if abs(value) < float("inf")]
    share = "accuracy" in quantity
    scale = Scale.around(finite, 0.0, 1.0 if share else max(finite, default=1.0), margin=4.0)
    epochs = max(len(line) for line in values)
    curves = tuple(
        Curve(run.teacher_bias, run.seed, _points(line, epochs, scale)) for run, line in zip(runs, values, strict=True)
    )
    low, high = wording.number(scale.low), wording.number(scale.high)
    return Panel(quantity.replace("_", " "), curves, low, high, epochs)


def _points(line: Sequence[float], epochs: int, scale: Scale) -> tuple[tuple[float, float], ...]:
    """One point an epoch; a value that is no number is left out."""
    across = Scale(1, max(epochs, 2), margin=4.0)
    finite = ((epoch, value) for epoch, value in enumerate(line, start=1) if abs(value) < float("inf"))
    return tuple((across.percent(epoch), round(100 - scale.percent(value), 2)) for epoch, value in finite)
