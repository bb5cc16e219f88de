"""The forest plots at the top of the page: the transfer of every method with its interval, by question."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import TICKS, Band, Scale, Tick
from kdbench.leaderboard.rows import RowView
from kdbench.scoring.estimates import Estimate
from kdbench.spec import QUESTIONS, Question


@dataclass(frozen=True)
class ForestRow:
    """The transfer of a method; `x`, `low` and `high` are in percent of the width."""

    view: RowView
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class ForestGroup:
    """The methods of one board.

    Attributes:
        undefined: methods without a number, which are named with the reason.
        band: what the controls that should score nothing reach; None without them.
    """

    view: BoardView
    rows: tuple[ForestRow, ...]
    undefined: tuple[RowView, ...]
    band: Band | None


@dataclass(frozen=True)
class Forest:
    """The methods of all boards of a question, on one scale.

    Attributes:
        groups: one per board that has methods.
        zero, one: where these values lie, in percent of the width.
    """

    question: Question
    groups: tuple[ForestGroup, ...]
    ticks: tuple[Tick, ...]
    zero: float
    one: float

    @property
    def symbol(self) -> str:
        """The letter for transfer."""
        return wording.SYMBOLS[self.question]


def forests(views: Sequence[BoardView]) -> tuple[Forest, ...]:
    """Return the plots of the questions that have boards, the headline first."""
    by_question = [(question, [view for view in views if view.board.question == question]) for question in QUESTIONS]
    return tuple(_forest(question, of_question) for question, of_question in by_question if of_question)


def _forest(question: Question, views: Sequence[BoardView]) -> Forest:
    drawn = [(view, _estimated(view)) for view in views if view.methods]
    scale = Scale.around((end for view, rows in drawn for end in _reach(view, rows)), 0.0, 1.0)
    groups = tuple(_group(view, rows, scale) for view, rows in drawn)
    ticks = tuple(Tick(scale.percent(value), wording.number(value, 1)) for value in TICKS)
    return Forest(question, groups, ticks, scale.percent(0), scale.percent(1))


def _group(view: BoardView, rows: Sequence[tuple[RowView, Estimate]], scale: Scale) -> ForestGroup:
    return ForestGroup(
        view=view,
        rows=tuple(_forest_row(row, score, scale) for row, score in rows),
        undefined=tuple(row for row in view.methods if not isinstance(row.row.transfer, Estimate)),
        band=Band.of(view.board.null_band, scale),
    )


def _estimated(view: BoardView) -> list[tuple[RowView, Estimate]]:
    return [(row, score) for row in view.methods if isinstance(score := row.row.transfer, Estimate)]


def _reach(view: BoardView, rows: Sequence[tuple[RowView, Estimate]]) -> Iterator[float]:
    """Yield the values that the scale must have room for."""
    for _, score in rows:
        yield from (score.low, score.high)
    if view.board.null_band is not None:
        yield from (view.board.null_band.low, view.board.null_band.high)


def _forest_row(row: RowView, score: Estimate, scale: Scale) -> ForestRow:
    return ForestRow(row, *(scale.percent(value) for value in (score.value, score.low, score.high)))
