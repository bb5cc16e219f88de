"""What methods cost: medians from the scores, spreads from the records."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.leaderboard.boards import BoardView, Line, RowView
from kdbench.records import Record
from kdbench.scoring.scores import Cost


@dataclass(frozen=True)
class CostLine:
    """The cost of one arm.

    Attributes:
        runs: how many runs the medians rest on.
        epochs: how many epochs they have together.
        fastest, slowest: seconds of the fastest and the slowest of these epochs; None without timed epochs.
        parameters: of the network that was trained; None without a record.
    """

    view: RowView
    line: Line
    cost: Cost
    runs: int
    epochs: int
    fastest: float | None
    slowest: float | None
    parameters: int | None


def cost_lines(view: BoardView, records: Sequence[Record]) -> tuple[CostLine, ...]:
    """The costs of all arms of a board that have any."""
    by_id = {record.run_id: record for record in records}
    return tuple(
        _cost_line(row, line, line.arm.cost, [by_id[one] for one in line.arm.run_ids if one in by_id])
        for row in view.rows
        for line in row.lines
        if line.arm.cost is not None
    )


def _cost_line(row: RowView, line: Line, cost: Cost, records: Sequence[Record]) -> CostLine:
    good = [record for record in records if record.status == "ok"]
    epochs = [seconds for record in good for seconds in record.timing.epochs]
    return CostLine(
        view=row,
        line=line,
        cost=cost,
        runs=len(good) or len(line.arm.run_ids),
        epochs=len(epochs),
        fastest=min(epochs, default=None),
        slowest=max(epochs, default=None),
        parameters=good[0].parameters if good else None,
    )
