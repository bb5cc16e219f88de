"""The boards as the page shows them: rows in order, columns with their sample sizes, notes in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, get_args

from kdbench.leaderboard import wording
from kdbench.scoring.context import RowKind
from kdbench.scoring.scores import Arm, Board, Estimate, Profile, Row, Score, Scores, Undefined
from kdbench.spec import Axis, Spec

Value = TypeVar("Value")
Column = Literal["primary", "clean", "shape", "texture", "locality", "scramble", "noise", "conflict", "shape_bias"]


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
        conflict_reason: why the shape decisions are undefined; said below the row, since a cell is narrow.
    """

    label: str
    arm: Arm
    basis: Basis | None
    same_reason: str
    axes_reason: str
    conflict_reason: str


@dataclass(frozen=True)
class RowView:
    """A row with its lines and what has to be said about it.

    Attributes:
        by_axis: the primary number's parts: tau of each axis, or what each axis contributes to G.
        axes_basis: of these, where it is one and the same.
        failures: what failed, as far as the reason for no rank does not say it.
        undefined: what is undefined and why, where the cells do not say it.
        collapsed: whose answers are nearly always the same few, and on which test sets.
    """

    row: Row
    name: str
    config: str
    lines: tuple[Line, ...]
    by_axis: Mapping[Axis, Score]
    axes_basis: Basis | None
    failures: tuple[str, ...]
    undefined: tuple[str, ...]
    collapsed: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return any(line.arm.failed for line in self.lines)

    @property
    def ranked(self) -> bool:
        return self.row.rank is not None and not self.row.unofficial

    @property
    def rank_range(self) -> str:
        """`1–3`, where the row shares its rank; else empty."""
        low, high = self.row.rank, self.row.rank_high
        return f"{low}–{high}" if self.ranked and high is not None and high != low else ""


@dataclass(frozen=True)
class BoardView:
    """A board, ready to be shown.

    Attributes:
        anchor: of the section; made of letters and digits only.
        pinned: teachers, then independents.
        methods: in the order of the scores: ranked ones first, unofficial ones last.
        controls: in that order, too.
        images: how many test images all estimates of a column rest on, where that is one and the same number.
        unofficial: why no row of the board is official, if that is the same for all; else empty.
        notes: what a reader has to know before reading a number.
    """

    anchor: str
    board: Board
    direction: str
    sentence: str
    summary: str
    pinned: tuple[RowView, ...]
    methods: tuple[RowView, ...]
    controls: tuple[RowView, ...]
    images: Mapping[Column, int | None]
    unofficial: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.board.track}: {self.direction}"

    @property
    def planted(self) -> bool:
        """Whether rows are ranked by tau over planted teachers; else by G."""
        return self.board.primary == "transfer"

    @property
    def scale(self) -> int:
        """What the primary number is shown times."""
        return 1 if self.planted else 100

    @property
    def mixed(self) -> bool:
        """Whether some intervals cover seeds and others do not."""
        return len({estimate.covers for _, estimate in estimates(self.board)}) > 1

    @property
    def axis_tests(self) -> int:
        """How many tests of single axes the board's stars are adjusted for."""
        return sum(len(row.row.p_by_axis) for row in self.methods)

    @property
    def rows(self) -> tuple[RowView, ...]:
        return self.pinned + self.methods + self.controls


def board_views(scores: Scores, spec: Spec) -> tuple[BoardView, ...]:
    """All boards, in the order of the scores."""
    return tuple(_board_view(number, board, spec) for number, board in enumerate(scores.boards, start=1))


def _board_view(number: int, board: Board, spec: Spec) -> BoardView:
    track = spec.tracks.get(board.track)
    rows = {kind: tuple(_row_view(row) for row in board.rows if row.kind == kind) for kind in get_args(RowKind)}
    return BoardView(
        anchor=f"board-{number}",
        board=board,
        direction=wording.direction_words(board.direction),
        sentence=wording.direction_sentence(board.direction),
        summary=track.summary if track else "",
        pinned=rows["teacher"] + rows["independent"],
        methods=rows["method"],
        controls=rows["control"],
        images=_images(board),
        unofficial=only(row.unofficial for row in board.rows) or (),
        notes=tuple(_notes(board, spec)),
    )


def _row_view(row: Row) -> RowView:
    lines = tuple(_line(row, arm) for arm in row.arms)
    failures = _once((line, line.arm.failed) for line in lines)
    axes = _once((line, _unless_all(line, line.axes_reason)) for line in lines)
    conflict = _once((line, _unless_all(line, line.conflict_reason)) for line in lines)
    by_axis = _by_axis(row)
    return RowView(
        row=row,
        name=wording.row_words(row),
        config=wording.config_words(row.config),
        lines=lines,
        by_axis=by_axis,
        axes_basis=basis_of(by_axis.values()),
        failures=tuple(reason for reason in failures if reason not in row.unranked),
        undefined=(
            *(f"Axes undefined: {reason}" for reason in axes),
            *(f"Shape decisions undefined: {reason}" for reason in conflict),
        ),
        collapsed=tuple(_collapsed(lines)) if row.kind in ("method", "control") else (),
    )


def _by_axis(row: Row) -> Mapping[Axis, Score]:
    if row.gap_closed is None:
        return row.transfer_by_axis
    movement = row.arms[0].movement
    defined = movement is not None and isinstance(row.gap_closed, Estimate)
    return movement.gap_by_axis if movement is not None and defined else {}


def _line(row: Row, arm: Arm) -> Line:
    scores = [score for _, score in _scores_of(arm.profile)] if arm.profile is not None else []
    return Line(
        label=wording.arm_words(row, arm.teacher_bias),
        arm=arm,
        basis=basis_of(scores),
        same_reason=_same_reason(scores),
        axes_reason=_axes_reason(arm),
        conflict_reason=_conflict_reason(arm),
    )


def _unless_all(line: Line, reason: str) -> tuple[str, ...]:
    """A reason, unless it is that of every number of the line."""
    return (reason,) if reason and not line.same_reason else ()


def basis_of(scores: Iterable[Score]) -> Basis | None:
    """The seeds and what intervals cover, where all estimates among the scores have them in common."""
    return only(Basis(one.seeds, one.covers == "images") for one in scores if isinstance(one, Estimate))


def _once(reasons: Iterable[tuple[Line, Iterable[str]]]) -> tuple[str, ...]:
    """Reasons of lines, each said once, with the lines it belongs to where those are not all."""
    lines = list(reasons)
    found = _owners(lines).items()
    return tuple(one if len(labels) == len(lines) else f"{', '.join(labels)}: {one}" for one, labels in found)


def _owners(reasons: Iterable[tuple[Line, Iterable[str]]]) -> Mapping[str, tuple[str, ...]]:
    """The labels of the lines that each reason belongs to."""
    found: dict[str, tuple[str, ...]] = {}
    for line, several in reasons:
        for reason in dict.fromkeys(several):
            found[reason] = (*found.get(reason, ()), line.label)
    return found


def _collapsed(lines: Sequence[Line]) -> Iterator[str]:
    """Test sets on which answers are nearly always the same few, with the lines where those are not all."""
    found = _owners((line, line.arm.diagnostics.collapsed if line.arm.diagnostics else ()) for line in lines)
    for labels in dict.fromkeys(found.values()):
        names = ", ".join(name for name, who in found.items() if who == labels)
        yield names if len(labels) == len(lines) else f"{names} ({', '.join(labels)})"


def _same_reason(scores: Sequence[Score]) -> str:
    if not scores:
        return "no run of this line could be scored"
    return only("" if isinstance(score, Estimate) else score.reason for score in scores) or ""


def _axes_reason(arm: Arm) -> str:
    axes = arm.profile.axes.values() if arm.profile is not None else ()
    reasons = [axis.bias.reason for axis in axes if isinstance(axis.bias, Undefined)]
    return (only(reasons) or "") if len(reasons) > 1 else ""


def _conflict_reason(arm: Arm) -> str:
    conflict = arm.profile.conflict if arm.profile is not None else None
    return conflict.shape_bias.reason if conflict and isinstance(conflict.shape_bias, Undefined) else ""


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
        if isinstance(row.primary, Estimate):
            yield "primary", row.primary
        for axis, score in _by_axis(row).items():
            if isinstance(score, Estimate) and axis in wording.SHOWN_AXES:
                yield cast(Column, axis), score
        for profile in (arm.profile for arm in row.arms if arm.profile is not None):
            yield from ((column, score) for column, score in _scores_of(profile) if isinstance(score, Estimate))


def _images(board: Board) -> dict[Column, int | None]:
    found: dict[Column, set[int]] = {column: set() for column in get_args(Column)}
    for column, estimate in estimates(board):
        found[column].add(estimate.images)
    return {column: only(numbers) for column, numbers in found.items()}


def only(values: Iterable[Value]) -> Value | None:
    """The value, if they are all the same one."""
    several = set(values)
    return several.pop() if len(several) == 1 else None


def _notes(board: Board, spec: Spec) -> Iterator[str]:
    """What a reader has to know before reading a number."""
    yield from _about_intervals(board, f"{spec.scoring.confidence:.0%}")
    yield from (f"{warning[:1].upper()}{warning[1:]}." for warning in board.warnings)
    unofficial = only(row.unofficial for row in board.rows)
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
