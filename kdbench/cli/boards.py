"""Boards as tables in a terminal."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kdbench.scoring.arms import Arm
from kdbench.scoring.estimates import Estimate, Range, Score, Undefined
from kdbench.scoring.findings import digits_of, finding_words
from kdbench.scoring.scores import Board, Row, Scores
from kdbench.scoring.titles import row_titles
from kdbench.spec import BIAS_AXES, FAMILY_NAMES, OPEN_DIVISION

ABSENT = "-"
RANK, ROW, CLEAN, CONFLICT = "rank", "row", "clean", "conflict shape/texture"
TRANSFER, SEEDS = "transfer", "seeds"
LEFT_ALIGNED = (RANK, ROW)


def print_boards(scores: Scores, console: Console) -> None:
    """Print every board with the notes on its rows, then which records were not scored."""
    if failures := _where_all_failed(scores):
        console.print(Text(failures))
    for board in scores.boards:
        for table in board_tables(board, console):
            console.print(table)
        for note in _notes(board):
            console.print(Text(note))
    print_not_scored(scores, console)


def _where_all_failed(scores: Scores) -> str:
    """Return a sentence for scores of runs that have all failed; empty for any others."""
    arms = [arm for board in scores.boards for row in board.rows for arm in row.arms]
    runs = {run_id for arm in arms for run_id in arm.run_ids}
    return f"0 of {len(runs)} runs succeeded" if runs and not any(arm.seeds for arm in arms) else ""


def print_not_scored(scores: Scores, console: Console) -> None:
    """Print how many records newer ones have superseded, and each that was refused, with the reasons."""
    for old in scores.superseded:
        console.print(Text(f"{old.track} ({old.device_class}): {old.words}"))
    for refused in (*scores.refused, *scores.contradicting):
        console.print(Text(f"{refused.track}: {refused.words}"))


def board_tables(board: Board, console: Console) -> list[Table]:
    """Return a board as one table with a line per arm, or as two where the console is too narrow for all columns."""
    whole = _table(board, (RANK, ROW, CLEAN, *BIAS_AXES, CONFLICT, TRANSFER, SEEDS))
    if Measurement.get(console, console.options.update(max_width=1000), whole).maximum <= console.width:
        return [whole]
    parts = (RANK, ROW, CLEAN, TRANSFER, SEEDS), (ROW, *BIAS_AXES, CONFLICT)
    return [_table(board, headings, narrow=True) for headings in parts]


def _table(board: Board, headings: Sequence[str], *, narrow: bool = False) -> Table:
    table = Table(
        title=_title(board),
        title_justify="left",
        box=box.SIMPLE_HEAD if narrow else box.HEAVY_HEAD,
        pad_edge=not narrow,
        collapse_padding=narrow,
    )
    for heading in headings:
        numeric = heading not in LEFT_ALIGNED
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(heading.replace(" shape", "\nshape"), justify=justify, no_wrap=numeric, overflow="fold")
    for row, title in zip(board.rows, row_titles(board.rows), strict=True):
        for place, arm in enumerate(row.arms):
            cells = _cells(row, title, arm, first=place == 0)
            table.add_row(*(Text(cells[heading]) for heading in headings))
    return table


def _title(board: Board) -> str:
    division = f", {OPEN_DIVISION}: {board.pair.words}" if board.pair else ""
    return f"{board.track}, {board.direction}, {board.question} ({board.device_class}){division}"


def _cells(row: Row, title: str, arm: Arm, *, first: bool) -> dict[str, str]:
    """Return the line of an arm by heading; rank and transfer stand in the first line of a row."""
    profile = arm.profile
    conflict = profile.conflict if profile else None
    return {
        RANK: rank_words(row) if first else "",
        ROW: row.arm_title(arm, title),
        CLEAN: number(profile.clean) if profile else ABSENT,
        **{axis: number(profile.axes[axis].bias) if profile and axis in profile.axes else ABSENT for axis in BIAS_AXES},
        CONFLICT: f"{number(conflict.shape)}/{number(conflict.texture)}" if conflict else ABSENT,
        TRANSFER: with_interval(row.transfer) if first and row.transfer else "",
        SEEDS: f"{len(arm.seeds)} of {len(arm.run_ids)}" if arm.failed else f"{len(arm.seeds)}",
    }


def rank_words(row: Row) -> str:
    """Return `2`, or `2-4` if seeds do not separate the row from the two that follow; empty for an unranked row."""
    if row.rank is None:
        return ""
    return f"{row.rank}" if row.rank_high in (None, row.rank) else f"{row.rank}-{row.rank_high}"


def _notes(board: Board) -> Iterator[str]:
    if board.null_band is not None:
        band = with_bounds(board.null_band)
        yield f"the controls without a trained teacher's answers to single images are in the range {band}"
    for row, title in zip(board.rows, row_titles(board.rows), strict=True):
        yield from _row_notes(row, title, board)


def _row_notes(row: Row, title: str, board: Board) -> Iterator[str]:
    if row.unranked:
        yield f"{title}: unranked: {row.unranked}"
    if row.caveat:
        yield f"{title} (control): {row.caveat}"
    if row.p_value is not None:
        shown = "".join(f"{words}, " for words in finding_words(row, board))
        p = "p < 0.001" if row.p_value < 0.001 else f"p = {row.p_value:.3f}"
        yield f"{title}: {shown}{p} (one-sided, adjusted by Holm for {board.tests} tests)"
    if isinstance(row.transfer, Undefined):
        yield f"{title}: transfer is undefined: {row.transfer.reason}"
        yield from _index_notes(row, title, board)
    if row.kind != "method":
        if row.unofficial:
            yield f"{row.family} {title}: unofficial: {', '.join(row.unofficial)}"
        yield from (f"{row.family} {title}: {failure}" for arm in row.arms for failure in arm.failed)


def _index_notes(row: Row, title: str, board: Board) -> Iterator[str]:
    """Yield how far a method without alpha moved to the teacher of the other family, and what controls reach."""
    for arm in row.arms:
        index = arm.movement.transfer_index if arm.movement else None
        if board.question == "architecture" and arm.teacher_family and isinstance(index, Estimate):
            band = f"; controls are in the range {with_bounds(board.index_band)}" if board.index_band else ""
            teacher = f"{FAMILY_NAMES[arm.teacher_family]} teacher"
            yield f"{title}: its way to the {teacher} (TI) is {with_interval(index)}{band}"


def number(score: Score) -> str:
    """Return a number with two decimals, or a dash if it is undefined."""
    return f"{score.value:.2f}" if isinstance(score, Estimate) else ABSENT


def with_interval(score: Score) -> str:
    """Return `0.43 [0.38, 0.49]`; a star marks an interval that covers images only."""
    if not isinstance(score, Estimate):
        return "undefined"
    star, digits = "*" if score.covers == "images" else "", digits_of(score.value)
    return f"{score.value:.{digits}f} {with_bounds(score, digits)}{star}"


def with_bounds(interval: Estimate | Range, digits: int = 2) -> str:
    """Return `[0.38, 0.49]`."""
    return f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
