"""The boards as the page shows them: rows in order, columns with their sample sizes, notes in words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from kdbench.leaderboard import wording
from kdbench.leaderboard.anchors import board_anchor, row_anchors
from kdbench.leaderboard.columns import BoardColumn, board_estimates, common_value, images_by_column
from kdbench.leaderboard.experiment import backbone_words, experiment_words
from kdbench.leaderboard.method_cards import MethodCard
from kdbench.leaderboard.rows import RowView, records_of_row, row_view
from kdbench.leaderboard.teacher_gate import TeacherGate, teacher_gate
from kdbench.records import Record
from kdbench.scoring.scores import Board, RowKind, Scores
from kdbench.spec import FAMILY_NAMES, OPEN_DIVISION, Spec, Track, families


@dataclass(frozen=True)
class BoardView:
    """A board, ready to be shown.

    Attributes:
        anchor: of the section; the same for the same board, whatever else the page shows.
        pinned: teachers, then independents.
        methods: in the order of the scores: ranked ones first, unofficial ones last.
        controls: in the order of the scores, without those that vary a method.
        variants: the controls that vary a method, as `kdbench.leaderboard.frontier` shows them.
        experiment: epochs, updates, parameters, images, seeds and backbones of the board's runs, in words.
        teachers: the clean accuracies of natural teachers and what is asked of them; None on other boards.
        images: number of test images of all estimates in a column; None if it differs between them.
        unofficial: why no row of the board is official, if all rows have the same reasons; else empty.
        notes: for the reader of the board.
    """

    anchor: str
    board: Board
    direction: str
    sentence: str
    summary: str
    pinned: tuple[RowView, ...]
    methods: tuple[RowView, ...]
    controls: tuple[RowView, ...]
    variants: tuple[RowView, ...]
    experiment: str
    teachers: TeacherGate | None
    images: Mapping[BoardColumn, int | None]
    unofficial: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Track, direction and question."""
        return f"{self.board.track}: {self.direction}, {wording.QUESTION_NAMES[self.board.question]}"

    @property
    def short_title(self) -> str:
        """Symbol and direction: `α CNN → ViT`."""
        return f"{self.symbol} {self.direction}"

    @property
    def symbol(self) -> str:
        """The letter for transfer on this board: α between architectures, τ for planted cues."""
        return wording.SYMBOLS[self.board.question]

    @property
    def student(self) -> str:
        """The family of the students, for people."""
        return FAMILY_NAMES[families(self.board.direction).student]

    @property
    def mixed(self) -> bool:
        """Whether some intervals cover seeds and others do not."""
        return len({estimate.covers for _, estimate in board_estimates(self.board)}) > 1

    @property
    def axis_tests(self) -> int:
        """The number of tests of single axes that the board's stars are adjusted for."""
        return sum(len(row.row.p_by_axis) for row in self.methods)

    @property
    def rows(self) -> tuple[RowView, ...]:
        """All rows: pinned ones, methods, controls, variants."""
        return self.pinned + self.methods + self.controls + self.variants

    @cached_property
    def ambiguous_names(self) -> frozenset[str]:
        """The names that several rows with different settings have."""
        settings = {(row.name, row.config) for row in self.rows}
        return frozenset(name for name, count in Counter(name for name, _ in settings).items() if count > 1)


def board_path(view: BoardView) -> str:
    """Return the path of the page with all numbers of a board, beside the main page."""
    return f"boards/{view.anchor}.html"


def board_views(
    scores: Scores, spec: Spec, records: Sequence[Record] = (), cards: Mapping[str, MethodCard] | None = None
) -> tuple[BoardView, ...]:
    """Return all boards, in the order of the scores.

    Args:
        scores: of the boards.
        spec: the tracks.
        records: of the runs, as far as they are known: what methods say of themselves.
        cards: who methods are, by the digest of their code.
    """
    return tuple(_board_view(board, spec, records, cards or {}) for board in scores.boards)


def _board_view(board: Board, spec: Spec, records: Sequence[Record], cards: Mapping[str, MethodCard]) -> BoardView:
    track = track_of(board, spec)
    anchor = board_anchor(board, track)
    of_board = [record for record in records if record.digests.testsets == board.testsets_digest]
    shown = [
        row_view(row, row_anchor, records_of_row(row, of_board), cards.get(row.code))
        for row, row_anchor in zip(board.rows, row_anchors(anchor, board.rows), strict=True)
    ]
    rows = {kind: tuple(row for row in shown if row.row.kind == kind) for kind in get_args(RowKind)}
    return BoardView(
        anchor=anchor,
        board=board,
        direction=wording.direction_words(board.direction, board.pair),
        sentence=wording.direction_sentence(board.direction, board.question, board.pair),
        summary=track.summary if track else "",
        pinned=rows["teacher"] + rows["independent"],
        methods=rows["method"],
        controls=tuple(row for row in rows["control"] if not varied_method(row, rows["method"])),
        variants=tuple(row for row in rows["control"] if varied_method(row, rows["method"])),
        experiment=experiment_words(board, track),
        teachers=teacher_gate(board, spec.scoring.natural_margin),
        images=images_by_column(board),
        unofficial=common_value(row.unofficial for row in board.rows) or (),
        notes=tuple(_notes(board, spec)),
    )


def track_of(board: Board, spec: Spec) -> Track | None:
    """Return the track of a board, with the board's networks; None if the spec has no such track."""
    track = spec.tracks.get(board.track)
    return track.with_pair(board.pair) if track else None


def varied_method(control: RowView, methods: Sequence[RowView]) -> str:
    """Return the method that a control varies: its name begins with that of the method and a hyphen, as in `lm-hard`.

    Empty for any other control.
    """
    names = sorted({row.row.method for row in methods})
    return next((name for name in names if control.row.method.startswith(f"{name}-")), "")


def _notes(board: Board, spec: Spec) -> Iterator[str]:
    """Yield the notes for the reader of a board."""
    if board.pair is not None:
        yield (
            f"{wording.capitalized(OPEN_DIVISION)}: other networks than those of the track, {board.pair.words}. These "
            "rows are compared with each other only, and are never official."
        )
    yield from _about_intervals(board, f"{spec.scoring.confidence:.0%}")
    unofficial = common_value(row.unofficial for row in board.rows)
    if unofficial:
        yield f"Unofficial, never ranked: {'; '.join(unofficial)}."
    track = track_of(board, spec)
    if track is not None:
        yield from backbone_words(board, track)
    if track is not None and board.training_digest != track.training_digest:
        yield "The training settings differ from this spec’s track; these runs are compared with each other only."
    if track is not None and board.testsets_digest != track.testsets_digest:
        yield "The test sets differ from those of this spec’s track."


def _about_intervals(board: Board, percent: str) -> Iterator[str]:
    covers = {estimate.covers for _, estimate in board_estimates(board)}
    if covers == {"images"}:
        seeds = wording.plural(len(board.seeds), "seed")
        yield f"All {percent} intervals cover the choice of test images, but not that of random seeds ({seeds} so far)."
    elif "images" in covers:
        yield f"{percent} intervals cover random seeds and test images, except where “images only” is next to them."
    elif covers:
        yield f"The {percent} intervals cover both random seeds and test images."
