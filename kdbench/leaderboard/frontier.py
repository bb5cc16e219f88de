"""The frontier of a board: transfer against clean accuracy of methods and of the controls that vary them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView, varied_method
from kdbench.leaderboard.geometry import Band, Scale, Tick, round_values
from kdbench.leaderboard.rows import RowView
from kdbench.scoring.estimates import Estimate, Score
from kdbench.spec import UNTRAINED


@dataclass(frozen=True)
class FrontierLine:
    """One method or control.

    Attributes:
        number: its position in the table, which marks it on the chart.
        of: the method that a control varies; the method itself for a method, empty for any other control.
        transfer: None for a control without a teacher, which has none by construction.
        clean: averaged over the students of both teachers; None if no seed has both.
    """

    number: int
    view: RowView
    of: str
    transfer: Score | None
    clean: Score | None


@dataclass(frozen=True)
class FrontierPoint:
    """A line of the table on the chart: its place and the ends of both intervals, in percent, y downwards."""

    line: FrontierLine
    x: float
    y: float
    low: float
    high: float
    top: float
    bottom: float


@dataclass(frozen=True)
class FrontierChart:
    """The points of a frontier.

    Attributes:
        links: from each variant of a method to the next more accurate one; x1, y1, x2, y2 in percent.
        band: the null band of the board, in percent of the height from the top.
        across, up: ticks; positions in percent, `up` downwards.
    """

    points: tuple[FrontierPoint, ...]
    links: tuple[tuple[float, float, float, float], ...]
    band: Band | None
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    description: str


@dataclass(frozen=True)
class Frontier:
    """Table and chart; the chart is None with fewer than two points."""

    lines: tuple[FrontierLine, ...]
    chart: FrontierChart | None


def frontier(view: BoardView) -> Frontier | None:
    """Return the frontier of a board: methods with their variants, then other controls; None without variants."""
    if not view.variants:
        return None
    of = [(varied_method(row, view.methods), row) for row in view.variants]
    ordered: list[tuple[str, RowView]] = []
    for method in dict.fromkeys(row.row.method for row in view.methods):
        ordered += [(method, row) for row in view.methods if row.row.method == method]
        ordered += [pair for pair in of if pair[0] == method]
    ordered += [("", row) for row in view.controls if row.row.method != UNTRAINED]
    lines = tuple(
        FrontierLine(number, row, method, row.row.transfer, row.row.clean)
        for number, (method, row) in enumerate(ordered, start=1)
    )
    return Frontier(lines, _chart(view, lines))


def _chart(view: BoardView, lines: Sequence[FrontierLine]) -> FrontierChart | None:
    placed = [
        (line, line.clean, line.transfer)
        for line in lines
        if isinstance(line.clean, Estimate) and isinstance(line.transfer, Estimate)
    ]
    if len(placed) < 2:
        return None
    reach = [end for _, _, transfer in placed for end in (transfer.low, transfer.high)]
    cleans = [end for _, clean, _ in placed for end in (clean.low, clean.high)]
    across, up = Scale(min(cleans), max(cleans), margin=6.0), Scale.around(reach, 0.0, max(reach), margin=6.0)
    points = tuple(_point(line, clean, transfer, across, up) for line, clean, transfer in placed)
    return FrontierChart(
        points=points,
        links=tuple(_links(points)),
        band=_lying(Band.of(view.board.null_band, up)),
        across=tuple(
            Tick(across.percent(value), wording.number(value, 3).rstrip("0"))
            for value in round_values(across.low, across.high)
        ),
        up=tuple(
            Tick(round(100 - up.percent(value), 2), wording.number(value)) for value in round_values(up.low, up.high)
        ),
        description="; ".join(
            f"{line.view.name}: {view.symbol} {wording.number(transfer.value)}, accuracy {wording.number(clean.value)}"
            for line, clean, transfer in placed
        ),
    )


def _point(line: FrontierLine, clean: Estimate, transfer: Estimate, across: Scale, up: Scale) -> FrontierPoint:
    top, y, bottom = (round(100 - up.percent(end), 2) for end in (transfer.high, transfer.value, transfer.low))
    low, x, high = (across.percent(end) for end in (clean.low, clean.value, clean.high))
    return FrontierPoint(line, x=x, y=y, low=low, high=high, top=top, bottom=bottom)


def _links(points: Sequence[FrontierPoint]) -> Iterator[tuple[float, float, float, float]]:
    for method in dict.fromkeys(point.line.of for point in points if point.line.of):
        of_method = sorted((point for point in points if point.line.of == method), key=lambda point: point.x)
        yield from ((first.x, first.y, second.x, second.y) for first, second in pairwise(of_method))


def _lying(band: Band | None) -> Band | None:
    """Return a band of the height from the top, for one of the width."""
    return Band(round(100 - band.left - band.width, 2), band.width) if band else None
