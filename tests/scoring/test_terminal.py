"""What the terminal says of the boards."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from kdbench.scoring.board import score
from kdbench.scoring.terminal import print_boards
from kdbench.spec import load_spec
from tests.record_factory import write_matrix


def printed(results: Path) -> str:
    text = StringIO()
    print_boards(score(results, load_spec()), Console(file=text, width=160))
    return text.getvalue()


def line_of(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if start in line)
    return [cell.strip() for cell in line.strip("│ ").split("│")]


def test_a_board_shows_accuracy_biases_conflict_transfer_and_seeds(tmp_path: Path) -> None:
    write_matrix(tmp_path, directions=("cnn-to-vit",), images=None, spread=0)
    text = printed(tmp_path)
    assert line_of(text, "cnn teacher, shape")[1:7] == ["0.98", "0.12", "0.95", "0.14", "0.09", "0.75"]
    lm = line_of(text, "lm, shape")
    assert lm[7] == "0.77/0.08"
    assert lm[8].startswith("0.50 [")
    assert lm[8].endswith("]*")
    assert lm[9] == "1"


def test_every_board_says_why_a_method_is_not_ranked(tmp_path: Path) -> None:
    write_matrix(tmp_path, seeds=(0, 1), failed={("lm", 1): ("diverged", "loss is [not] finite")})
    text = printed(tmp_path)
    assert line_of(text, "lm, shape")[9] == "1 of 2"
    assert "lm: unranked, 1 of 2 seeds failed: seed 1 diverged: loss is [not] finite; needs 5 seeds" in text


def test_a_board_of_a_student_at_chance_says_that_transfer_is_undefined(tmp_path: Path) -> None:
    write_matrix(tmp_path, clean={"lm": 0.1})
    text = printed(tmp_path)
    assert line_of(text, "lm, shape")[1:8] == ["0.10", "-", "-", "-", "-", "-", line_of(text, "lm, shape")[7]]
    assert "lm: transfer is undefined, student of the shape teacher: too near chance" in text
