"""Boards as tables in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdbench.scoring.scores import Arm, Board, Estimate, Row, Score, Scores
from kdbench.spec import BIAS_AXES

ABSENT = "-"


def print_boards(scores: Scores, console: Console) -> None:
    """Prints every board: clean accuracy, chance-corrected biases, transfer, and why a row is unranked; then what was
    not scored."""
    for board in scores.boards:
        console.print(board_table(board))
        for row in board.rows:
            for note in _notes(row):
                console.print(Text(note))
    print_superseded(scores, console)


def print_superseded(scores: Scores, console: Console) -> None:
    """Says which records newer ones have taken the place of."""
    for old in scores.superseded:
        console.print(Text(f"{old.track} ({old.device_class}): {old.words}"))


def board_table(board: Board) -> Table:
    """One board as a table, a line an arm."""
    table = Table(title=f"{board.track}, {board.direction} ({board.device_class})", title_justify="left")
    table.add_column("row")
    for heading in ("clean", *BIAS_AXES, "conflict shape/texture", "transfer", "seeds"):
        table.add_column(heading, justify="right")
    for row in board.rows:
        for number, arm in enumerate(row.arms):
            table.add_row(*(Text(cell) for cell in _line(row, arm, first=number == 0)))
    return table


def _line(row: Row, arm: Arm, *, first: bool) -> tuple[str, ...]:
    profile = arm.profile
    biases = [number(profile.axes[axis].bias) if profile and axis in profile.axes else ABSENT for axis in BIAS_AXES]
    conflict = profile.conflict if profile else None
    seeds = f"{len(arm.seeds)}" if not arm.failed else f"{len(arm.seeds)} of {len(arm.run_ids)}"
    return (
        _name(row, arm),
        number(profile.clean) if profile else ABSENT,
        *biases,
        f"{number(conflict.shape)}/{number(conflict.texture)}" if conflict else ABSENT,
        with_interval(row.transfer) if first and row.transfer else "",
        seeds,
    )


def _name(row: Row, arm: Arm) -> str:
    what = f"{row.family} {row.method}" if row.kind != "method" else row.method
    return f"{what}, {arm.teacher_bias}" if arm.teacher_bias else what


def _notes(row: Row) -> list[str]:
    notes = [f"{row.method}: unranked, {row.unranked}"] if row.unranked else []
    if row.kind == "method":
        undefined = row.transfer is not None and not isinstance(row.transfer, Estimate)
        return [*notes, f"{row.method}: transfer is undefined, {row.transfer.reason}"] if undefined else notes  # type: ignore[union-attr]
    notes += [f"{row.family} {row.method}: unofficial, {', '.join(row.unofficial)}"] if row.unofficial else []
    return notes + [f"{row.family} {row.method}: {failure}" for arm in row.arms for failure in arm.failed]


def number(score: Score) -> str:
    """Two decimals, or a dash where undefined."""
    return f"{score.value:.2f}" if isinstance(score, Estimate) else ABSENT


def with_interval(score: Score) -> str:
    """`0.43 [0.38, 0.49]`, with a star where the interval covers images only."""
    if not isinstance(score, Estimate):
        return "undefined"
    star = "*" if score.covers == "images" else ""
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]{star}"
