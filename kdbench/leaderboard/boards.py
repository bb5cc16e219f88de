"""The boards as the page shows them: rows in order, columns with their sample sizes, notes in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from kdbench.leaderboard import wording
from kdbench.leaderboard.columns import BoardColumn, board_estimates, common_value, images_by_column
from kdbench.leaderboard.rows import RowView, row_view
from kdbench.scoring.scores import Board, RowKind, Scores
from kdbench.spec import FAMILIES, Spec, Track


@dataclass(frozen=True)
class BoardView:
    """A board, ready to be shown.

    Attributes:
        anchor: of the section; made of letters and digits only.
        pinned: teachers, then independents.
        methods: in the order of the scores: ranked ones first, unofficial ones last.
        controls: in the order of the scores.
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
    images: Mapping[BoardColumn, int | None]
    unofficial: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Track, direction and question."""
        return f"{self.board.track}: {self.direction}, {wording.QUESTION_NAMES[self.board.question]}"

    @property
    def symbol(self) -> str:
        """The letter for transfer on this board: α between architectures, τ for planted cues."""
        return wording.SYMBOLS[self.board.question]

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
        """All rows: pinned ones, methods, controls."""
        return self.pinned + self.methods + self.controls


def board_views(scores: Scores, spec: Spec) -> tuple[BoardView, ...]:
    """Return all boards, in the order of the scores."""
    return tuple(_board_view(number, board, spec) for number, board in enumerate(scores.boards, start=1))


def _board_view(number: int, board: Board, spec: Spec) -> BoardView:
    track = spec.tracks.get(board.track)
    rows = {kind: tuple(row_view(row) for row in board.rows if row.kind == kind) for kind in get_args(RowKind)}
    return BoardView(
        anchor=f"board-{number}",
        board=board,
        direction=wording.direction_words(board.direction),
        sentence=wording.direction_sentence(board.direction),
        summary=track.summary if track else "",
        pinned=rows["teacher"] + rows["independent"],
        methods=rows["method"],
        controls=rows["control"],
        images=images_by_column(board),
        unofficial=common_value(row.unofficial for row in board.rows) or (),
        notes=tuple(_notes(board, spec)),
    )


def _notes(board: Board, spec: Spec) -> Iterator[str]:
    """Yield the notes for the reader of a board."""
    yield from _about_intervals(board, f"{spec.scoring.confidence:.0%}")
    unofficial = common_value(row.unofficial for row in board.rows)
    if unofficial:
        yield f"Unofficial, never ranked: {'; '.join(unofficial)}."
    track = spec.tracks.get(board.track)
    if track is not None:
        yield from _about_backbones(track)
    if track is not None and board.training_digest != track.training_digest:
        yield "The training settings differ from this spec’s track; these runs are compared with each other only."
    if track is not None and board.testsets_digest != track.testsets_digest:
        yield "The test sets differ from those of this spec’s track."


def _about_backbones(track: Track) -> Iterator[str]:
    """Yield a sentence about the pretrained weights from which seeds start, if there are any."""
    count = min(len(track.backbones[family].pretrained) for family in FAMILIES)
    if count > 1:
        yield f"Seed k starts from pretrained weights number k modulo {count}; intervals cover the choice of weights."
    elif any(track.backbones[family].is_pretrained for family in FAMILIES):
        yield "All seeds start from one pretrained backbone per family; no interval covers the choice of that backbone."


def _about_intervals(board: Board, percent: str) -> Iterator[str]:
    covers = {estimate.covers for _, estimate in board_estimates(board)}
    if covers == {"images"}:
        seeds = wording.plural(len(board.seeds), "seed")
        yield f"All {percent} intervals cover the choice of test images, but not that of random seeds ({seeds} so far)."
    elif "images" in covers:
        yield f"{percent} intervals cover random seeds and test images, except where “images only” is next to them."
    elif covers:
        yield f"The {percent} intervals cover both random seeds and test images."
