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
    """A method's primary number on the overview; percents of the width."""

    view: RowView
    anchor: str
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class ForestGroup:
    """The methods of one board.

    Attributes:
        band: what the controls that should score nothing reach; None without them.
    """

    view: BoardView
    rows: tuple[ForestRow, ...]
    band: Band | None

    @property
    def images_only(self) -> bool:
        """Whether no interval of the group covers random seeds."""
        scores = [row.view.row.primary for row in self.rows]
        return all(isinstance(score, Estimate) and score.covers == "images" for score in scores)


@dataclass(frozen=True)
class Forest:
    """The primary number of all methods on all boards that have the same one, on one scale.

    Attributes:
        planted: the number is tau, else G.
        zero, one: percents of the width.
    """

    planted: bool
    groups: tuple[ForestGroup, ...]
    ticks: tuple[Tick, ...]
    zero: float
    one: float


def forests(views: Sequence[BoardView]) -> tuple[Forest, ...]:
    """The overview charts: of tau, then of G; none of a number that is nowhere defined."""
    found = (_forest([view for view in views if view.planted is planted]) for planted in (True, False))
    return tuple(one for one in found if one is not None)


def _forest(views: Sequence[BoardView]) -> Forest | None:
    drawn = [(view, rows) for view in views if (rows := _estimated(view))]
    if not drawn:
        return None
    scale = Scale.around((end for view, rows in drawn for end in _reach(view, rows)), 0.0, 1.0)
    groups = (
        ForestGroup(view, tuple(_forest_row(view, row, score, scale) for row, score in rows), _null_band(view, scale))
        for view, rows in drawn
    )
    times, digits = (1, 1) if views[0].planted else (100, 0)
    ticks = tuple(Tick(scale.percent(value), wording.number(times * value, digits)) for value in TICKS)
    return Forest(views[0].planted, tuple(groups), ticks, scale.percent(0), scale.percent(1))


def _estimated(view: BoardView) -> list[tuple[RowView, Estimate]]:
    return [(row, score) for row in view.methods if isinstance(score := row.row.primary, Estimate)]


def _reach(view: BoardView, rows: Sequence[tuple[RowView, Estimate]]) -> Iterator[float]:
    """Whatever a group of the overview must have room for."""
    for _, score in rows:
        yield from (score.low, score.high)
    if view.board.null_band is not None:
        yield from (view.board.null_band.low, view.board.null_band.high)


def _forest_row(view: BoardView, row: RowView, score: Estimate, scale: Scale) -> ForestRow:
    return ForestRow(row, view.anchor, *(scale.percent(value) for value in (score.value, score.low, score.high)))


def _null_band(view: BoardView, scale: Scale) -> Band | None:
    band = view.board.null_band
    if band is None:
        return None
    left = scale.percent(band.low)
    return Band(left, round(scale.percent(band.high) - left, 2))


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
