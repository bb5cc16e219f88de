"""The forest plot at the top of the page: the transfer of every method with its interval, on one scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import TICKS, Band, Scale, Tick
from kdbench.leaderboard.rows import RowView
from kdbench.scoring.estimates import Estimate


@dataclass(frozen=True)
class ForestRow:
    """The transfer of a method; `x`, `low` and `high` are in percent of the width."""

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
        scores = [row.view.row.transfer for row in self.rows]
        return all(isinstance(score, Estimate) and score.covers == "images" for score in scores)


@dataclass(frozen=True)
class Forest:
    """The methods of all boards, on one scale.

    Attributes:
        zero, one: where these values lie, in percent of the width.
    """

    groups: tuple[ForestGroup, ...]
    ticks: tuple[Tick, ...]
    zero: float
    one: float


def forest(views: Sequence[BoardView]) -> Forest | None:
    """Return the plot of all boards; None if no method has a transfer."""
    drawn = [(view, rows) for view in views if (rows := _estimated(view))]
    if not drawn:
        return None
    scale = Scale.around((end for view, rows in drawn for end in _reach(view, rows)), 0.0, 1.0)
    groups = (
        ForestGroup(view, tuple(_forest_row(view, row, score, scale) for row, score in rows), _null_band(view, scale))
        for view, rows in drawn
    )
    ticks = tuple(Tick(scale.percent(value), wording.number(value, 1)) for value in TICKS)
    return Forest(tuple(groups), ticks, scale.percent(0), scale.percent(1))


def _estimated(view: BoardView) -> list[tuple[RowView, Estimate]]:
    return [(row, score) for row in view.methods if isinstance(score := row.row.transfer, Estimate)]


def _reach(view: BoardView, rows: Sequence[tuple[RowView, Estimate]]) -> Iterator[float]:
    """Yield the values that the scale must have room for."""
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
