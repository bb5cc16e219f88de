"""The training curves of a board's runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import Scale
from kdbench.leaderboard.rows import RowView, records_of_row
from kdbench.leaderboard.wording import Mark
from kdbench.records import Record
from kdbench.scoring.questions import teacher_of

_NOT_PLOTTED = "seconds"
_GRADIENT_NORM = "gradient_norm_"


@dataclass(frozen=True)
class TrainingCurve:
    """A quantity of one run over epochs; points are x and y in percent of the panel, y downwards."""

    mark: Mark
    seed: int
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """The points as SVG writes them."""
        return " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True)
class CurvePanel:
    """A quantity of all runs of a row, with the ends of its scale in words."""

    quantity: str
    curves: tuple[TrainingCurve, ...]
    low: str
    high: str
    epochs: int


@dataclass(frozen=True)
class RowCurves:
    """The training curves of a row, one panel per quantity."""

    view: RowView
    panels: tuple[CurvePanel, ...]


def training_curves(view: BoardView, records: Sequence[Record]) -> tuple[RowCurves, ...]:
    """Return the training curves of all rows of a board whose records are known."""
    rows = [RowCurves(row, _panels(records_of_row(row.row, records))) for row in view.rows]
    return tuple(row for row in rows if row.panels)


def _panels(runs: Sequence[Record]) -> tuple[CurvePanel, ...]:
    quantities = {key for run in runs for epoch in run.curves for key in epoch if key != _NOT_PLOTTED}
    return tuple(_panel(key, runs) for key in sorted(quantities, key=_place))


def _place(quantity: str) -> tuple[bool, bool, bool, str]:
    """Return the place of a quantity: accuracies, terms of the loss, norms of gradients, the learning rate."""
    return quantity == "learning_rate", quantity.startswith(_GRADIENT_NORM), "accuracy" not in quantity, quantity


def _panel(quantity: str, runs: Sequence[Record]) -> CurvePanel:
    values_by_run = [[epoch[quantity] for epoch in run.curves if quantity in epoch] for run in runs]
    finite = [value for values in values_by_run for value in values if math.isfinite(value)]
    top = 1.0 if "accuracy" in quantity else max(finite, default=1.0)
    scale = Scale.around(finite, 0.0, top, margin=4.0)
    epochs = max(len(values) for values in values_by_run)
    curves = tuple(
        TrainingCurve(wording.mark_of(teacher_of(run)), run.seed, _points(values, epochs, scale))
        for run, values in zip(runs, values_by_run, strict=True)
    )
    low, high = (f"{end:.2g}".replace("-", wording.MINUS) for end in (scale.low, scale.high))
    return CurvePanel(quantity.replace("_", " "), curves, low, high, epochs)


def _points(values: Sequence[float], epochs: int, scale: Scale) -> tuple[tuple[float, float], ...]:
    """Return one point per epoch; a value that is not finite is left out."""
    across = Scale(1, max(epochs, 2), margin=4.0)
    finite = ((epoch, value) for epoch, value in enumerate(values, start=1) if math.isfinite(value))
    return tuple((across.percent(epoch), round(100 - scale.percent(value), 2)) for epoch, value in finite)
