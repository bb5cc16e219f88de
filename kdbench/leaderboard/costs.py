"""The costs of methods: medians from the scores, extremes from the records."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.rows import ArmLine, RowView
from kdbench.records import Record
from kdbench.scoring.arms import Cost


@dataclass(frozen=True)
class CostLine:
    """The cost of one arm.

    Attributes:
        runs: number of runs in the medians.
        epochs: number of epochs of these runs together.
        fastest, slowest: seconds of the fastest and of the slowest of these epochs; None without timed epochs.
        parameters: of the networks that were trained, the student and its peers; None without a record.
    """

    row: RowView
    arm_line: ArmLine
    cost: Cost
    runs: int
    epochs: int
    fastest: float | None
    slowest: float | None
    parameters: int | None


def cost_lines(view: BoardView, records: Sequence[Record]) -> tuple[CostLine, ...]:
    """Return the costs of all arms of a board that have any."""
    by_run_id = {record.run_id: record for record in records}
    return tuple(
        _cost_line(row, line, line.arm.cost, [by_run_id[run_id] for run_id in line.arm.run_ids if run_id in by_run_id])
        for row in view.rows
        for line in row.lines
        if line.arm.cost is not None
    )


def _cost_line(row: RowView, line: ArmLine, cost: Cost, records: Sequence[Record]) -> CostLine:
    complete = [record for record in records if record.status == "ok"]
    epochs = [seconds for record in complete for seconds in record.timing.epochs]
    return CostLine(
        row=row,
        arm_line=line,
        cost=cost,
        runs=len(complete) or len(line.arm.run_ids),
        epochs=len(epochs),
        fastest=min(epochs, default=None),
        slowest=max(epochs, default=None),
        parameters=complete[0].parameters if complete else None,
    )
