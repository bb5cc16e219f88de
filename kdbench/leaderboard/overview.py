"""The overview of a track: the transfer of every method with its interval, one column per board."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.columns import common_value
from kdbench.leaderboard.geometry import Band, Scale, Whisker
from kdbench.leaderboard.headlines import Headline, headline
from kdbench.leaderboard.profile_plane import ProfilePlane, profile_plane
from kdbench.leaderboard.rows import RowView
from kdbench.scoring.estimates import Estimate
from kdbench.spec import QUESTIONS, Question


@dataclass(frozen=True)
class ForestCell:
    """A method on one board; the whisker is None where the method has no transfer."""

    view: RowView
    whisker: Whisker | None


@dataclass(frozen=True)
class ForestColumn:
    """A board.

    Attributes:
        zero, one: where these values lie, in percent of the width; the boards of a question share a scale.
        band: what the null controls reach; None without them.
        basis: number of seeds and images of all numbers of the column, in words; empty if they differ.
    """

    view: BoardView
    zero: float
    one: float
    band: Band | None
    basis: str

    @property
    def key(self) -> str:
        """What the page calls the column."""
        return self.view.anchor


@dataclass(frozen=True)
class ForestLine:
    """One method with its cells, by the column's key; a method that a board lacks has no cell there."""

    name: str
    config: str
    unofficial: bool
    cells: Mapping[str, ForestCell]


@dataclass(frozen=True)
class Overview:
    """The first screen of a track on a kind of device.

    Attributes:
        headlines: a sentence per board.
        lines: methods, by the largest transfer of the first question; unofficial ones last.
        planes: a picture per question, of the first of its boards that has one.
        undefined: why methods have no transfer, each reason once with the methods.
        experiment: the scale of the boards in words; empty if it differs between them.
    """

    track: str
    device_class: str
    summary: str
    headlines: tuple[Headline, ...]
    columns: tuple[ForestColumn, ...]
    lines: tuple[ForestLine, ...]
    planes: tuple[ProfilePlane, ...]
    undefined: tuple[str, ...]
    experiment: str


def overviews(views: Sequence[BoardView]) -> tuple[Overview, ...]:
    """Return an overview per track, pair of digests and kind of device, in the order of the boards."""
    groups: dict[tuple[str, ...], list[BoardView]] = {}
    for view in views:
        board = view.board
        key = (board.track, board.device_class, board.training_digest, board.testsets_digest)
        groups.setdefault(key, []).append(view)
    return tuple(_overview(group) for group in groups.values())


def _overview(views: Sequence[BoardView]) -> Overview:
    views = sorted(views, key=lambda view: (QUESTIONS.index(view.board.question), view.board.direction))
    scales = {question: _scale(views, question) for question in QUESTIONS}
    headlines = tuple(headline(view) for view in views)
    planes = [plane for line in headlines if (plane := profile_plane(line.view, line.leader))]
    first = {plane.view.board.question: plane for plane in reversed(planes)}
    return Overview(
        track=views[0].board.track,
        device_class=views[0].board.device_class,
        summary=views[0].summary,
        headlines=headlines,
        columns=tuple(_column(view, scales[view.board.question]) for view in views),
        lines=tuple(_lines(views, scales)),
        planes=tuple(first[question] for question in QUESTIONS if question in first),
        undefined=tuple(_undefined(views)),
        experiment=common_value(view.experiment for view in views) or "",
    )


def _scale(views: Sequence[BoardView], question: Question) -> Scale:
    return Scale.around((end for view in views if view.board.question == question for end in _reach(view)), 0.0, 1.0)


def _reach(view: BoardView) -> Iterator[float]:
    """Yield the values that the scale must have room for."""
    for score in (row.row.transfer for row in view.methods):
        if isinstance(score, Estimate):
            yield from (score.low, score.high)
    if view.board.null_band is not None:
        yield from (view.board.null_band.low, view.board.null_band.high)


def _column(view: BoardView, scale: Scale) -> ForestColumn:
    scores = [row.row.transfer for row in view.methods]
    basis = common_value((score.seeds, score.images) for score in scores if isinstance(score, Estimate))
    words = f"{wording.plural(basis[0], 'seed')}, {wording.plural(basis[1], 'image')}" if basis else ""
    return ForestColumn(view, scale.percent(0), scale.percent(1), Band.of(view.board.null_band, scale), words)


def _lines(views: Sequence[BoardView], scales: Mapping[Question, Scale]) -> Iterator[ForestLine]:
    cells: dict[tuple[str, str, bool], dict[str, ForestCell]] = {}
    for view in views:
        for row in view.methods:
            of_method = cells.setdefault((row.name, row.config, bool(row.row.unofficial)), {})
            of_method[view.anchor] = ForestCell(row, Whisker.of(row.row.transfer, scales[view.board.question]))
    order = [view.anchor for view in views if view.board.question == views[0].board.question]
    for (name, config, unofficial), by_board in sorted(cells.items(), key=lambda item: _standing(item, order)):
        yield ForestLine(name, config, unofficial, by_board)


def _standing(item: tuple[tuple[str, str, bool], Mapping[str, ForestCell]], first: Sequence[str]) -> tuple[object, ...]:
    """Return what sorts a method: official ones before others, then by the largest transfer of the first question."""
    (name, config, unofficial), cells = item
    whiskers = [cells[anchor].whisker for anchor in first if anchor in cells]
    best = max((whisker.score.value for whisker in whiskers if whisker), default=float("-inf"))
    return unofficial, -best, name, config


def _undefined(views: Sequence[BoardView]) -> Iterator[str]:
    names: dict[tuple[str, str], list[str]] = {}
    for view in views:
        for row in view.methods:
            if not isinstance(row.row.transfer, Estimate):
                reason = row.row.transfer.reason if row.row.transfer else "it was not computed"
                of_reason = names.setdefault((view.symbol, reason), [])
                of_reason += [] if row.name in of_reason else [row.name]
    yield from (f"No {symbol} for {', '.join(rows)}: {reason}" for (symbol, reason), rows in names.items())
