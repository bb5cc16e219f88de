"""Which runs make a row."""

from pathlib import Path

from kdbench.records import read_predictions, read_record
from kdbench.scoring.board import score
from tests.record_factory import record_of, write_again, write_matrix
from tests.scoring.boards import SPEC


def test_compiled_runs_of_a_method_have_a_row_of_their_own(tmp_path: Path) -> None:
    for folder in record_of(write_matrix(tmp_path, directions=("cnn-to-vit",)), method="lm"):
        record = read_record(folder)
        write_again(tmp_path, record.model_copy(update={"compiled": True}), read_predictions(folder))
    (board,) = score(tmp_path, SPEC).boards
    rows = {row.title: row for row in board.rows if row.method == "lm"}
    assert {title: len(row.arms) for title, row in rows.items()} == {"lm": 2, "lm, compiled": 2}
