"""The dose-response charts of a board: the difference between two teachers and that of their students, by seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import Scale, Tick, round_values
from kdbench.leaderboard.rows import RowView
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.scores import DoseResponse
from kdbench.spec import Planted


@dataclass(frozen=True)
class ChartPoint:
    """The pair of teachers and the pair of students of a seed; `x` and `y` are in percent, y downwards."""

    seed: int
    words: str
    x: float
    y: float


@dataclass(frozen=True)
class DoseChart:
    """The points of one method, with the line through 0 that fits them.

    Attributes:
        line, equal: ends of the fitted line, and of the line of students that differ as much as their teachers;
            x1, y1, x2, y2 in percent.
        spread: corners of the stretch of one residual standard deviation about the fitted line, as SVG writes them.
        description: the chart in words.
    """

    view: RowView
    response: DoseResponse
    points: tuple[ChartPoint, ...]
    line: tuple[float, float, float, float]
    equal: tuple[float, float, float, float]
    spread: str
    description: str


@dataclass(frozen=True)
class DoseCharts:
    """All charts of a board on one scale.

    Attributes:
        methods, controls: in the order of the board; controls only if they have trained teachers.
        across, up: ticks; positions in percent, `up` downwards.
        undefined: why rows have no chart, each reason once with its rows.
        doses: of the teachers of each seed, in words; empty if the spec does not name them.
    """

    methods: tuple[DoseChart, ...]
    controls: tuple[DoseChart, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    undefined: tuple[str, ...]
    doses: str


@dataclass(frozen=True)
class _Plane:
    """The scales of a board's charts: both start at or below 0."""

    across: Scale
    up: Scale

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies, in percent, y downwards."""
        return self.across.percent(x), round(100 - self.up.percent(y), 2)

    def line(self, slope: float, shift: float = 0.0) -> tuple[float, float, float, float]:
        """Return the ends of a line over the whole width."""
        ends = (0.0, self.across.high)
        first, last = (self.point(x, slope * x + shift) for x in ends)
        return (*first, *last)


def dose_charts(view: BoardView, planted: Planted | None) -> DoseCharts:
    """Return the charts of a board; it has none unless its teachers are planted.

    Args:
        view: of the board.
        planted: the doses of its track; None if the spec has none.
    """
    controls = (*view.controls, *view.variants)
    taught = [row for row in controls if not any(line.arm.random_teacher for line in row.lines)]
    responses = list(_responses((*view.methods, *taught)))
    plane = _plane([response for _, response in responses])
    charts = [(row, _chart(row, response, plane)) for row, response in responses]
    return DoseCharts(
        methods=tuple(chart for row, chart in charts if row.row.kind == "method"),
        controls=tuple(chart for row, chart in charts if row.row.kind == "control"),
        across=_ticks(plane.across),
        up=tuple(Tick(round(100 - tick.x, 2), tick.text) for tick in _ticks(plane.up)),
        undefined=tuple(_undefined(view.methods)),
        doses="; ".join(_doses(view.board.seeds, planted)) if planted else "",
    )


def _responses(rows: Sequence[RowView]) -> Iterator[tuple[RowView, DoseResponse]]:
    for row in rows:
        if isinstance(row.row.dose_response, DoseResponse):
            yield row, row.row.dose_response


def _plane(responses: Sequence[DoseResponse]) -> _Plane:
    points = [point for response in responses for point in response.points]
    across = Scale.around((1.08 * point.teachers for point in points), 0.0, 0.5, margin=4.0)
    ends = [slope * across.high for slope in (1.0, *(response.slope for response in responses))]
    up = Scale.around((*ends, *(1.08 * point.students for point in points)), 0.0, 0.5, margin=4.0)
    return _Plane(across, up)


def _ticks(scale: Scale) -> tuple[Tick, ...]:
    return tuple(
        Tick(scale.percent(value), wording.number(value, 1)) for value in round_values(scale.low, scale.high, most=4)
    )


def _chart(row: RowView, response: DoseResponse, plane: _Plane) -> DoseChart:
    points = tuple(
        ChartPoint(
            point.seed,
            f"seed {point.seed}: teachers {wording.number(point.teachers)}, students {wording.number(point.students)}",
            *plane.point(point.teachers, point.students),
        )
        for point in response.points
    )
    slope, spread = response.slope, response.residual_spread
    above, below = plane.line(slope, spread), plane.line(slope, -spread)
    corners = (above[:2], above[2:], below[2:], below[:2])
    return DoseChart(
        view=row,
        response=response,
        points=points,
        line=plane.line(slope),
        equal=plane.line(1.0),
        spread=" ".join(f"{x},{y}" for x, y in corners),
        description="; ".join(point.words for point in points),
    )


def _doses(seeds: Sequence[int], planted: Planted) -> Iterator[str]:
    for seed in seeds:
        shape, texture = (wording.number(dose) for dose in planted.of_seed(seed))
        yield f"seed {seed}: {shape} and {texture}"


def _undefined(rows: Sequence[RowView]) -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row.row.dose_response, Undefined):
            names.setdefault(row.row.dose_response.reason, []).append(row.name)
    yield from (f"{', '.join(names[reason])}: {reason}" for reason in names)
