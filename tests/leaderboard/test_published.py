"""What the paper printed, and where the page shows it."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.leaderboard.published import published_seconds, read_published
from kdbench.leaderboard.render import render_site
from kdbench.methods.files import list_submissions
from kdbench.scoring.scores import Board
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples
from tests.leaderboard.page import boards_text

TABLES = read_published()


def page_of(board: Board, folder: Path) -> str:
    scores = examples.scores_of(board)
    render_site(scores, examples.records_of(scores), folder, spec=load_spec(), gallery=None)
    return boards_text(folder)


def test_the_papers_times_are_those_of_its_tables() -> None:
    to_vit, to_cnn = published_seconds(TABLES, "cnn-to-vit"), published_seconds(TABLES, "vit-to-cnn")
    assert to_vit == {"lm": "815.8", "crd": "1748", "vlfkd": "1604.2", "cskd": "756"}
    assert to_cnn == {"lm": "604.2", "crd": "919.3", "capd": "2513.5", "sskd": "3595.2"}


def test_every_method_that_the_paper_timed_is_a_submission() -> None:
    timed = {*published_seconds(TABLES, "cnn-to-vit"), *published_seconds(TABLES, "vit-to-cnn")}
    assert timed <= set(list_submissions())


def test_the_papers_seconds_are_shown_on_its_own_track(tmp_path: Path) -> None:
    text = page_of(examples.natural().model_copy(update={"track": "cifar10-224"}), tmp_path)
    assert "Seconds per epoch Paper Training time" in text
    assert "lm from CNN teacher 5 runs, 15 epochs 12.2 8.4 to 9.2 815.8" in text
    assert "independent (ViT) trained alone 5 runs, 15 epochs 8.7 8.4 to 9.2 –" in text


@pytest.mark.parametrize("board", [examples.natural(), examples.full_scores().boards[0]], ids=["natural", "planted"])
def test_the_papers_seconds_are_shown_on_no_other_track(board: Board, tmp_path: Path) -> None:
    assert "Seconds per epoch Training time" in page_of(board, tmp_path)


def test_published_tables_are_the_papers_four() -> None:
    tables = read_published()
    assert [table.table for table in tables] == [1, 2, 3, 4]
    assert [len(table.rows) for table in tables] == [5, 4, 5, 4]


def test_published_table_with_a_missing_value_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'source = "s"\ntable = 1\ntitle = "t"\ndirection = "cnn-to-vit"\ncolumns = ["a", "b"]\nquantity = "q"\n'
        '[[rows]]\nmethod = "lm"\nvalues = ["1"]\n'
    )
    with pytest.raises(InputError, match=r"bad\.toml.*row lm: 1 values for 2 columns"):
        read_published(tmp_path)
