"""Every number on a board is one of `scores.json`, as read from the screen."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.scores import Board, Row, Scores
from kdbench.spec import Axis
from tests.browser.reading import OpenPage, lines_of

NUMBER = r"[−-]?\d+\.?\d*"
SYMBOLS = {"architecture": "α", "planted": "τ"}
AXES: Mapping[str, Axis] = {
    "Shape": "shape",
    "Texture": "texture",
    "Locality": "locality",
    "Scramble": "scramble",
    "Noise": "noise",
}


@pytest.fixture(scope="module")
def scores(scored: Path) -> Scores:
    return Scores.model_validate_json((scored.parent / "runs" / "scores.json").read_bytes())


def is_rounded(text: str, value: float) -> bool:
    """Return whether a number on the screen is a value with fewer digits."""
    digits = len(text.partition(".")[2])
    return abs(float(text.replace("−", "-")) - value) <= 0.5 / 10.0**digits + 1e-9


def shows(cell: str, score: Score | None) -> bool:
    """Return whether a cell shows a score and its interval, or that there is none."""
    numbers = re.match(rf"\s*({NUMBER})\*?\s*\[({NUMBER}), ({NUMBER})\]", cell)
    if not isinstance(score, Estimate):
        return numbers is None
    wanted = (score.value, score.low, score.high)
    return numbers is not None and all(map(is_rounded, numbers.groups(), wanted))


def differences(row: Row, cells: dict[str, str], symbol: str) -> Iterator[str]:
    """Yield the labels of the cells of a row of the main table that do not show its scores."""
    columns = {f"{symbol} transfer": row.transfer, "Clean accuracy": row.clean}
    columns |= {label: row.transfer_by_axis.get(axis) for label, axis in AXES.items()}
    yield from (label for label, score in columns.items() if not shows(cells[label], score))
    ratios = [arm.cost.relative_time for arm in row.arms if arm.cost and arm.cost.relative_time is not None]
    time = re.match(NUMBER, cells["Time"])
    if (time is None) != (not ratios) or (time and not is_rounded(time.group(), max(ratios))):
        yield "Time"
    if cells["Rank"].split()[0] != str(row.rank or "–"):
        yield "Rank"


def board_id(board: Board) -> str:
    return f"{board.track}-{board.question}-{board.direction}"


def test_every_row_of_every_board_shows_its_scores(open_page: OpenPage, scored: Path, scores: Scores) -> None:
    page = open_page(scored / "index.html")
    wrong, count = [], 0
    for board in scores.boards:
        lines = dict(lines_of(page, f"#{board_id(board)}--table"))
        for row in board.rows:
            if row.kind in ("method", "control") and row.method != "untrained":
                labels = differences(row, lines[row.method], SYMBOLS[board.question])
                wrong += [(board_id(board), row.method, label) for label in labels]
                count += 1
    assert wrong == []
    assert count == 2 * 3


def test_the_overview_shows_the_transfers_of_every_board(open_page: OpenPage, scored: Path, scores: Scores) -> None:
    lines = dict(lines_of(open_page(scored / "index.html"), "table.matrix"))
    wrong, count = [], 0
    for board in scores.boards:
        label = f"{SYMBOLS[board.question]} CNN → ViT"
        for row in board.rows:
            if row.kind == "method":
                count += 1
                wrong += [] if shows(lines[row.method][label], row.transfer) else [(label, row.method)]
    assert wrong == []
    assert count == 2 * 2


def test_the_page_of_a_board_shows_every_profile(open_page: OpenPage, scored: Path, scores: Scores) -> None:
    wrong, count = [], 0
    for board in scores.boards:
        page = open_page(scored / "boards" / f"{board_id(board)}.html")
        lines = lines_of(page, "table.networks >> nth=0")
        profiles = {
            (row.method, arm.teacher_family, arm.teacher_bias): arm.profile for row in board.rows for arm in row.arms
        }
        assert len(lines) == len(profiles)
        for profile in profiles.values():
            assert profile is not None
            columns = {
                "Clean accuracy": profile.clean,
                **{label: profile.axes[axis].bias for label, axis in AXES.items()},
            }
            count += 1
            if not any(all(shows(cells[label], score) for label, score in columns.items()) for _, cells in lines):
                wrong.append((board_id(board), profile))
    assert wrong == []
    assert count > 15
