"""The boards as the page shows them: rows in order, columns with their sample sizes, notes in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, get_args

from kdbench.leaderboard import wording
from kdbench.scoring.scores import Arm, Board, Estimate, Profile, Row, Score, Scores, Undefined
from kdbench.spec import Spec

Value = TypeVar("Value")
Column = Literal["transfer", "clean", "shape", "texture", "locality", "scramble", "noise", "conflict", "shape_bias"]


@dataclass(frozen=True)
class Basis:
    """The seeds that numbers rest on, and what their intervals cover."""

    seeds: int
    images_only: bool

    @property
    def words(self) -> str:
        return wording.plural(self.seeds, "seed")


@dataclass(frozen=True)
class Line:
    """One arm of a row: one line of numbers.

    Attributes:
        label: which teacher or student it is, in words.
        basis: of all numbers of the line, where it is one and the same.
        same_reason: the reason why every number of the line is undefined, if it is one and the same; else empty.
        axes_reason: the reason that several axes of the line share for being undefined; said once, not in each cell.
    """

    label: str
    arm: Arm
    basis: Basis | None
    same_reason: str
    axes_reason: str


@dataclass(frozen=True)
class RowView:
    """A row with its lines and what has to be said about it.

    Attributes:
        axes_basis: of the transfers by axis, where it is one and the same.
        failures: what failed, as far as the reason for no rank does not say it.
        undefined: why axes are undefined, where their cells do not say it.
    """

    row: Row
    name: str
    config: str
    lines: tuple[Line, ...]
    axes_basis: Basis | None
    failures: tuple[str, ...]
    undefined: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return any(line.arm.failed for line in self.lines)

    @property
    def rank_words(self) -> str:
        return str(self.row.rank) if self.row.rank is not None and not self.row.unofficial else ""


@dataclass(frozen=True)
class BoardView:
    """A board, ready to be shown.

    Attributes:
        anchor: of the section; made of letters and digits only.
        pinned: teachers, then independents.
        methods: best primary number first, unofficial ones last.
        images: how many test images all estimates of a column rest on, where that is one and the same number.
        unofficial: why no row of the board is official, if that is the same for all; else empty.
        notes: what a reader has to know before reading a number.
    """

    anchor: str
    board: Board
    direction: str
    sentence: str
    summary: str
    planted: bool
    pinned: tuple[RowView, ...]
    methods: tuple[RowView, ...]
    images: Mapping[Column, int | None]
    unofficial: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.board.track}: {self.direction}"

    @property
    def mixed(self) -> bool:
        """Whether some intervals cover seeds and others do not."""
        return len({estimate.covers for _, estimate in estimates(self.board)}) > 1

    @property
    def rows(self) -> tuple[RowView, ...]:
        return self.pinned + self.methods


def board_views(scores: Scores, spec: Spec) -> tuple[BoardView, ...]:
    """All boards, in the order of the scores."""
    return tuple(_board_view(number, board, spec) for number, board in enumerate(scores.boards, start=1))


def _board_view(number: int, board: Board, spec: Spec) -> BoardView:
    track = spec.tracks.get(board.track)
    rows = [_row_view(row) for row in board.rows]
    pinned = [view for kind in ("teacher", "independent") for view in rows if view.row.kind == kind]
    methods = sorted((view for view in rows if view.row.kind == "method"), key=_order)
    planted = track.primary == "transfer" if track else any(row.transfer is not None for row in board.rows)
    return BoardView(
        anchor=f"board-{number}",
        board=board,
        direction=wording.direction_words(board.direction),
        sentence=wording.direction_sentence(board.direction),
        summary=track.summary if track else "",
        planted=planted,
        pinned=tuple(pinned),
        methods=tuple(methods),
        images=_images(board),
        unofficial=_only(row.unofficial for row in board.rows) or (),
        notes=tuple(_notes(board, spec)),
    )


def _row_view(row: Row) -> RowView:
    lines = tuple(_line(row, arm) for arm in row.arms)
    failures = _once((line, line.arm.failed) for line in lines)
    undefined = _once(
        (line, (line.axes_reason,) if line.axes_reason and not line.same_reason else ()) for line in lines
    )
    news = tuple(reason for reason in failures if reason not in row.unranked)
    axes_basis = _basis(row.transfer_by_axis.values())
    return RowView(row, wording.row_words(row), wording.config_words(row.config), lines, axes_basis, news, undefined)


def _line(row: Row, arm: Arm) -> Line:
    scores = [score for _, score in _scores_of(arm.profile)] if arm.profile is not None else []
    return Line(wording.arm_words(row, arm.teacher_bias), arm, _basis(scores), _same_reason(scores), _axes_reason(arm))


def _basis(scores: Iterable[Score]) -> Basis | None:
    return _only(Basis(one.seeds, one.covers == "images") for one in scores if isinstance(one, Estimate))


def _once(reasons: Iterable[tuple[Line, Iterable[str]]]) -> tuple[str, ...]:
    """Reasons of lines, each said once, with the lines it belongs to where those are not all."""
    owners: dict[str, list[str]] = {}
    lines = list(reasons)
    for line, several in lines:
        for reason in dict.fromkeys(several):
            owners.setdefault(reason, []).append(line.label)
    every = len(lines)
    return tuple(one if len(who) == every else f"{', '.join(who)}: {one}" for one, who in owners.items())


def _order(view: RowView) -> tuple[bool, bool, float, str]:
    """Official before unofficial, defined before undefined, more transfer first, then by name."""
    transfer = view.row.transfer
    value = transfer.value if isinstance(transfer, Estimate) else None
    return bool(view.row.unofficial), value is None, -(value or 0.0), view.row.method


def _same_reason(scores: Sequence[Score]) -> str:
    if not scores:
        return "no run of this line could be scored"
    return _only("" if isinstance(score, Estimate) else score.reason for score in scores) or ""


def _axes_reason(arm: Arm) -> str:
    axes = arm.profile.axes.values() if arm.profile is not None else ()
    reasons = [axis.bias.reason for axis in axes if isinstance(axis.bias, Undefined)]
    return (_only(reasons) or "") if len(reasons) > 1 else ""


def _scores_of(profile: Profile) -> Iterator[tuple[Column, Score]]:
    yield "clean", profile.clean
    for axis in wording.SHOWN_AXES:
        if axis in profile.axes:
            scored = profile.axes[axis]
            yield from ((cast(Column, axis), score) for score in (scored.bias, scored.accuracy, scored.ratio))
    if profile.conflict is not None:
        yield "conflict", profile.conflict.shape
        yield "conflict", profile.conflict.texture
        yield "shape_bias", profile.conflict.shape_bias


def estimates(board: Board) -> Iterator[tuple[Column, Estimate]]:
    """Every estimate that a board's table shows, with its column."""
    for row in board.rows:
        if isinstance(row.transfer, Estimate):
            yield "transfer", row.transfer
        for axis, score in row.transfer_by_axis.items():
            if isinstance(score, Estimate) and axis in wording.SHOWN_AXES:
                yield cast(Column, axis), score
        for profile in (arm.profile for arm in row.arms if arm.profile is not None):
            yield from ((column, score) for column, score in _scores_of(profile) if isinstance(score, Estimate))


def _images(board: Board) -> dict[Column, int | None]:
    found: dict[Column, set[int]] = {column: set() for column in get_args(Column)}
    for column, estimate in estimates(board):
        found[column].add(estimate.images)
    return {column: _only(numbers) for column, numbers in found.items()}


def _only(values: Iterable[Value]) -> Value | None:
    """The value, if they are all the same one."""
    several = set(values)
    return several.pop() if len(several) == 1 else None


def _notes(board: Board, spec: Spec) -> Iterator[str]:
    """What a reader has to know before reading a number."""
    yield from _about_intervals(board, f"{spec.scoring.confidence:.0%}")
    unofficial = _only(row.unofficial for row in board.rows)
    if unofficial:
        yield f"Unofficial, never ranked: {'; '.join(unofficial)}."
    track = spec.tracks.get(board.track)
    if track is not None and (track.backbones.cnn.weights or track.backbones.vit.weights):
        yield "All seeds start from one pretrained backbone a family; no interval covers the choice of that one."
    if track is not None and board.training_digest != track.training_digest:
        yield "Trained under other settings than this spec’s track; compared among themselves only."
    if track is not None and board.testsets_digest != track.testsets_digest:
        yield "Tested on other test sets than this spec’s track."


def _about_intervals(board: Board, percent: str) -> Iterator[str]:
    covers = {estimate.covers for _, estimate in estimates(board)}
    if covers == {"images"}:
        seeds = wording.plural(len(board.seeds), "seed")
        yield f"All {percent} intervals cover the choice of test images, not that of random seeds ({seeds} so far)."
    elif "images" in covers:
        yield f"{percent} intervals cover random seeds and test images, but where “images only” stands beside them."
    elif covers:
        yield f"{percent} intervals cover both random seeds and test images."
