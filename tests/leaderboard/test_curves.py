"""The training curves of a board's runs."""

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.curves import training_curves
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def test_curves_leave_out_what_is_not_finite() -> None:
    scores = examples.full_scores()
    records = [
        record.model_copy(update={"curves": ({"loss": 2.0}, {"loss": float("nan")}, {"loss": 1.0})})
        for record in examples.records_of(scores)
    ]
    rows = training_curves(board_views(scores, load_spec())[0], records)
    assert all(len(curve.points) == 2 for row in rows for panel in row.panels for curve in panel.curves)
    assert [point[0] for point in rows[0].panels[0].curves[0].points] == [4.0, 96.0]
