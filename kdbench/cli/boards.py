"""Boards as tables in a terminal."""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdbench.scoring.scores import Arm, Board, Estimate, Row, Score, Scores, Undefined
from kdbench.spec import BIAS_AXES, Primary

ABSENT = "-"
PRIMARY_NAMES: Mapping[Primary, str] = {"transfer": "transfer", "gap-closed": "gap closed x 100"}
PRIMARY_WORDS: Mapping[Primary, str] = {"transfer": "transfer", "gap-closed": "the gap closed"}


def print_boards(scores: Scores, console: Console) -> None:
    """Prints every board with what has to be said of its rows, then what was not scored."""
    for board in scores.boards:
        console.print(board_table(board))
        for note in _notes(board):
            console.print(Text(note))
    print_superseded(scores, console)


def print_superseded(scores: Scores, console: Console) -> None:
    """Says which records newer ones have taken the place of."""
    for old in scores.superseded:
        console.print(Text(f"{old.track} ({old.device_class}): {old.words}"))


def board_table(board: Board) -> Table:
    """One board as a table, a line an arm."""
    table = Table(title=f"{board.track}, {board.direction} ({board.device_class})", title_justify="left")
    table.add_column("rank")
    table.add_column("row")
    for heading in ("clean", *BIAS_AXES, "conflict shape/texture", PRIMARY_NAMES[board.primary], "seeds"):
        table.add_column(heading, justify="right")
    for row in board.rows:
        for place, arm in enumerate(row.arms):
            table.add_row(*(Text(cell) for cell in _line(row, arm, board, first=place == 0)))
    return table


def _line(row: Row, arm: Arm, board: Board, *, first: bool) -> tuple[str, ...]:
    profile = arm.profile
    biases = [number(profile.axes[axis].bias) if profile and axis in profile.axes else ABSENT for axis in BIAS_AXES]
    conflict = profile.conflict if profile else None
    seeds = f"{len(arm.seeds)}" if not arm.failed else f"{len(arm.seeds)} of {len(arm.run_ids)}"
    return (
        rank_words(row) if first else "",
        _name(row, arm),
        number(profile.clean) if profile else ABSENT,
        *biases,
        f"{number(conflict.shape)}/{number(conflict.texture)}" if conflict else ABSENT,
        with_interval(row.primary, percent=board.primary == "gap-closed") if first and row.primary else "",
        seeds,
    )


def rank_words(row: Row) -> str:
    """`2`, or `2-4` where seeds do not tell the row apart from the two that follow; empty while unranked."""
    if row.rank is None:
        return ""
    return f"{row.rank}" if row.rank_high in (None, row.rank) else f"{row.rank}-{row.rank_high}"


def _name(row: Row, arm: Arm) -> str:
    what = f"{row.family} {row.title}" if row.kind in ("teacher", "independent") else row.title
    what = f"{what} (control)" if row.kind == "control" else what
    return f"{what}, {arm.teacher_bias}" if arm.teacher_bias else what


def _notes(board: Board) -> Iterator[str]:
    yield from (f"warning: {warning}" for warning in board.warnings)
    if board.null_band is not None:
        band = with_bounds(board.null_band.low, board.null_band.high, percent=board.primary == "gap-closed")
        yield f"controls that should score nothing reach {band}"
    for row in board.rows:
        yield from _row_notes(row, board)


def _row_notes(row: Row, board: Board) -> Iterator[str]:
    if row.unranked:
        yield f"{row.title}: unranked, {row.unranked}"
    if row.p_value is not None:
        badges = "".join(f"{badge}, " for badge in row.badges)
        p = "p < 0.001" if row.p_value < 0.001 else f"p = {row.p_value:.3f}"
        yield f"{row.title}: {badges}{p} (one-sided, Holm over {board.tests} tests)"
    if isinstance(row.primary, Undefined):
        yield f"{row.title}: {PRIMARY_WORDS[board.primary]} is undefined, {row.primary.reason}"
    if row.kind != "method":
        if row.unofficial:
            yield f"{row.family} {row.title}: unofficial, {', '.join(row.unofficial)}"
        yield from (f"{row.family} {row.title}: {failure}" for arm in row.arms for failure in arm.failed)


def number(score: Score) -> str:
    """Two decimals, or a dash where undefined."""
    return f"{score.value:.2f}" if isinstance(score, Estimate) else ABSENT


def with_interval(score: Score, *, percent: bool = False) -> str:
    """`0.43 [0.38, 0.49]`, or `43 [38, 49]` in percent; with a star where the interval covers images only."""
    if not isinstance(score, Estimate):
        return "undefined"
    star = "*" if score.covers == "images" else ""
    value = f"{100 * score.value:.0f}" if percent else f"{score.value:.2f}"
    return f"{value} {with_bounds(score.low, score.high, percent=percent)}{star}"


def with_bounds(low: float, high: float, *, percent: bool = False) -> str:
    """`[0.38, 0.49]`, or `[38, 49]` in percent."""
    return f"[{100 * low:.0f}, {100 * high:.0f}]" if percent else f"[{low:.2f}, {high:.2f}]"
