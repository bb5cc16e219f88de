"""The boards as the page shows them: rows in order, columns with their sample sizes, notes in words."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from kdbench.leaderboard import wording
from kdbench.scoring.scores import Arm, Board, Estimate, Profile, Row, Score, Scores
from kdbench.spec import Spec

Column = Literal["transfer", "clean", "shape", "texture", "locality", "scramble", "noise", "conflict", "shape_bias"]


@dataclass(frozen=True)
class Sample:
    """What an estimate rests on."""

    images: int
    seeds: int

    @property
    def words(self) -> str:
        return f"{wording.plural(self.images, 'image')} × {wording.plural(self.seeds, 'seed')}"


@dataclass(frozen=True)
class Line:
    """One arm of a row: one line of numbers.

    Attributes:
        label: which teacher or student it is, in words.
        same_reason: the reason why every number of the line is undefined, if it is one and the same; else empty.
    """

    label: str
    arm: Arm
    same_reason: str = ""


@dataclass(frozen=True)
class RowView:
    """A row with its lines and what has to be said about it."""

    row: Row
    name: str
    config: str
    lines: tuple[Line, ...]
    failures: tuple[str, ...]

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
        samples: what all estimates of a column rest on, where that is one and the same.
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
    samples: Mapping[Column, Sample | None]
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
        samples=_samples(board),
        notes=tuple(_notes(board, spec)),
    )


def _row_view(row: Row) -> RowView:
    lines = tuple(Line(wording.arm_words(row, arm.teacher_bias), arm, _same_reason(arm)) for arm in row.arms)
    return RowView(row, wording.row_words(row), wording.config_words(row.config), lines, tuple(_failures(lines)))


def _failures(lines: tuple[Line, ...]) -> Iterator[str]:
    """What failed, once; with the line it belongs to where that is not all of them."""
    for reason in dict.fromkeys(reason for line in lines for reason in line.arm.failed):
        where = [line.label for line in lines if reason in line.arm.failed]
        yield reason if len(where) == len(lines) else f"{', '.join(where)}: {reason}"


def _order(view: RowView) -> tuple[bool, bool, float, str]:
    """Official before unofficial, defined before undefined, more transfer first, then by name."""
    transfer = view.row.transfer
    value = transfer.value if isinstance(transfer, Estimate) else None
    return bool(view.row.unofficial), value is None, -(value or 0.0), view.row.method


def _same_reason(arm: Arm) -> str:
    if arm.profile is None:
        return "no run of this line could be scored"
    scores = [score for _, score in _scores_of(arm.profile)]
    reasons = {"" if isinstance(score, Estimate) else score.reason for score in scores}
    return reasons.pop() if len(reasons) == 1 else ""


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


def _samples(board: Board) -> dict[Column, Sample | None]:
    found: dict[Column, set[Sample]] = {column: set() for column in get_args(Column)}
    for column, estimate in estimates(board):
        found[column].add(Sample(estimate.images, estimate.seeds))
    return {column: _only(samples) for column, samples in found.items()}


def _only(values: Iterable[Sample]) -> Sample | None:
    """The value if there is exactly one."""
    several = list(values)
    return several[0] if len(several) == 1 else None


def _notes(board: Board, spec: Spec) -> Iterator[str]:
    """What a reader has to know before reading a number."""
    yield from _about_intervals(board, f"{spec.scoring.confidence:.0%}")
    track = spec.tracks.get(board.track)
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
