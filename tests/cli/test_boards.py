"""What the terminal says of the boards."""

import re
import shutil
from io import StringIO
from pathlib import Path

from rich.console import Console

from kdbench.cli.boards import board_tables, print_boards
from kdbench.records import read_predictions, read_record, write_record
from kdbench.scoring.board import score
from kdbench.scoring.titles import row_titles
from kdbench.spec import BIAS_AXES
from kdbench.testsets.spec import load_spec
from tests.record_factory import record_of, write_matrix


def printed(results: Path, width: int = 160) -> str:
    text = StringIO()
    print_boards(score(results, load_spec()), Console(file=text, width=width))
    return text.getvalue()


def line_of(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if start in line)
    return [cell.strip() for cell in line.strip().strip("│").split("│")][1:]


def test_a_board_shows_accuracy_biases_conflict_transfer_and_seeds(tmp_path: Path) -> None:
    write_matrix(tmp_path, directions=("cnn-to-vit",), images=None, spread=0)
    text = printed(tmp_path)
    assert line_of(text, "cnn teacher, shape")[1:7] == ["0.98", "0.12", "0.95", "0.14", "0.09", "0.75"]
    lm = line_of(text, "lm, shape")
    assert lm[7] == "0.77/0.08"
    assert lm[8].startswith("0.50 [")
    assert lm[8].endswith("]*")
    assert lm[9] == "1"


def test_ranks_come_with_their_interval_and_tests_with_their_number(tmp_path: Path) -> None:
    write_matrix(
        tmp_path,
        directions=("cnn-to-vit",),
        methods=("lm", "crd", "none"),
        transfer={"lm": 0.6, "crd": 0.6, "none": 0.0},
        seeds=range(5),
        spread=0.01,
        controls=("random-teacher",),
    )
    text = printed(tmp_path)
    assert re.search(r"│ 1-2 +│ lm, shape", text)
    assert re.search(r"│ 3 +│ none, shape", text)
    assert "lm: transfers, p < 0.001 (one-sided, adjusted by Holm for 3 tests)" in text
    assert "the controls without a trained teacher's answers to single images are in the range [-0." in text
    assert line_of(text, "random-teacher (control), shape")[8].startswith(("0.0", "-0.0"))


def test_a_method_without_alpha_shows_its_way_to_the_teacher_and_what_controls_reach(tmp_path: Path) -> None:
    folders = write_matrix(
        tmp_path,
        question="architecture",
        directions=("cnn-to-vit",),
        seeds=range(3),
        spread=0.004,
        controls=("label-smoothing",),
    )
    for folder in record_of(folders, method="lm", direction="vit-to-vit"):
        shutil.rmtree(folder)
    text = printed(tmp_path)
    assert "lm: transfer is undefined: no student of the natural ViT teacher was scored" in text
    assert re.search(r"lm: its way to the CNN teacher \(TI\) is 0.\d+ \[.*\]; controls are in the range \[-0", text)


def test_a_record_of_an_earlier_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = write_matrix(tmp_path, directions=("cnn-to-vit",), images=50)[-1]
    record = read_record(folder)
    environment = record.environment.model_copy(update={"kdbench": "1.0.0rc1"})
    write_record(folder, record.model_copy(update={"environment": environment}), read_predictions(folder))
    text = printed(tmp_path, width=500)
    assert (
        f"synthetic: refused {folder.name} (lm cnn-to-vit, texture teacher, seed 0): it was made with version" in text
    )
    assert "run it again, or score it with the release of its version" in text


def test_every_board_says_why_a_method_is_not_ranked(tmp_path: Path) -> None:
    write_matrix(tmp_path, seeds=(0, 1), failed={("lm", 1): ("diverged", "loss is [not] finite")})
    text = printed(tmp_path)
    assert line_of(text, "lm, shape")[9] == "1 of 2"
    assert "lm: unranked: 1 of 2 seeds failed: seed 1 diverged: loss is [not] finite; 5 scored seeds are needed" in text


def test_a_board_of_a_student_at_chance_says_that_transfer_is_undefined(tmp_path: Path) -> None:
    write_matrix(tmp_path, clean={"lm": 0.1})
    text = printed(tmp_path)
    assert line_of(text, "lm, shape")[1:8] == ["0.10", "-", "-", "-", "-", "-", line_of(text, "lm, shape")[7]]
    assert "lm: transfer is undefined: student of the shape teacher: too near chance" in text


def test_eighty_columns_cut_no_heading_no_number_and_no_name(tmp_path: Path) -> None:
    write_matrix(tmp_path, directions=("cnn-to-vit",), seeds=range(3), controls=("random-teacher",))
    wide, narrow = printed(tmp_path), printed(tmp_path, width=80)
    assert max(map(len, narrow.splitlines()[:20])) <= 80
    assert "…" not in narrow
    numbers = re.findall(r"-?[0-9]+[.][0-9]{2}[^0-9]", wide)
    assert sorted(re.findall(r"-?[0-9]+[.][0-9]{2}[^0-9]", narrow)) == sorted(numbers)
    for heading in ("rank", "clean", *BIAS_AXES, "conflict", "shape/texture", "transfer", "seeds"):
        assert heading in narrow


def test_rows_of_one_name_are_told_apart_by_settings_and_code(tmp_path: Path) -> None:
    board = score(write_matrix(tmp_path, directions=("cnn-to-vit",), images=50)[0].parents[1], load_spec()).boards[0]
    (lm,) = (row for row in board.rows if row.kind == "method")
    edited = lm.model_copy(update={"code": "0123456789abcdef"})
    warmer = lm.model_copy(update={"config": {**lm.config, "temperature": 8.0}})
    assert row_titles([lm]) == ["lm"]
    assert row_titles([lm, edited]) == [f"lm (code {lm.code[:8]})", "lm (code 01234567)"]
    assert row_titles([lm, warmer]) == ["lm (temperature=4.0)", "lm (temperature=8.0)"]
    text = StringIO()
    both = board.model_copy(update={"rows": (lm, edited)})
    (table,) = board_tables(both, Console(file=text, width=200))
    Console(file=text, width=200).print(table)
    assert "lm (code 01234567), shape" in text.getvalue()
