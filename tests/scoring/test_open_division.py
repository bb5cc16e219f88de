"""Records of the open division have boards of their own, in the scores and on the page."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.cli.boards import print_boards
from kdbench.leaderboard.publish import publish
from kdbench.records import find_records, read_predictions, read_record
from kdbench.records.integrity import check_record
from kdbench.scoring.board import score
from kdbench.scoring.scores import Board
from kdbench.spec import OpenNetwork, OpenPair
from tests.leaderboard.page import Page
from tests.record_factory import write_again, write_matrix
from tests.scoring.boards import SPEC

PAIR = OpenPair(
    cnn=OpenNetwork(architecture="convnext_atto"),
    vit=OpenNetwork(architecture="mixer_s32_224", arguments={"img_size": 32}),
)
OTHER = PAIR.model_copy(update={"vit": OpenNetwork(architecture="pit_s_224", weights="timm")})


def write_pair(results: Path, folders: Sequence[Path], pair: OpenPair, training: str | None = None) -> list[Path]:
    """Write records again as those of a pair, teachers first, by default with the training digest of the track."""
    written, teachers = list[Path](), dict[str | None, str | None]({None: None})
    for folder in sorted(folders, key=lambda path: read_record(path).role, reverse=True):
        record = read_record(folder)
        digests = record.digests.model_copy(update={"training": training or record.digests.training})
        changed = {"pair": pair, "unofficial": (f"open division: {pair.words}",), "digests": digests}
        changed |= {"teacher_run_id": teachers[record.teacher_run_id]}
        written.append(write_again(results, record.model_copy(update=changed), read_predictions(folder)))
        teachers[record.run_id] = read_record(written[-1]).run_id
    return written


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of the track, and one of each of two pairs."""
    folder = tmp_path_factory.mktemp("open")
    own = write_matrix(folder / "runs", images=50, directions=("cnn-to-vit",), seeds=(0, 1))
    for pair, training in ((PAIR, "1" * 64), (OTHER, "2" * 64)):
        write_pair(folder / "runs", own, pair, training)
    return folder / "runs"


@pytest.fixture(scope="module")
def boards(results: Path) -> tuple[Board, ...]:
    scores = score(results, SPEC)
    assert scores.refused == ()
    return scores.boards


def test_a_pair_has_boards_of_its_own_behind_those_of_the_track(boards: tuple[Board, ...]) -> None:
    assert [board.pair is None for board in boards] == sorted((board.pair is None for board in boards), reverse=True)
    assert {board.pair.words if board.pair else "" for board in boards} == {"", PAIR.words, OTHER.words}


def test_no_row_of_a_pair_is_official_and_none_of_the_track_is_not(boards: tuple[Board, ...]) -> None:
    for board in boards:
        assert {bool(row.unofficial) for row in board.rows} == {board.pair is not None}
        assert board.pair is None or all(row.rank is None for row in board.rows)


def test_a_pair_starts_from_no_shipped_backbones(boards: tuple[Board, ...]) -> None:
    assert {board.scale.backbones for board in boards if board.scale and board.pair} == {1}
    assert {board.scale.backbones for board in boards if board.scale and not board.pair} == {2}


def test_records_that_claim_the_training_of_the_track_stay_apart_from_it(tmp_path: Path) -> None:
    own = write_matrix(tmp_path / "own", images=50, directions=("cnn-to-vit",))
    write_pair(tmp_path / "forged", own, PAIR)
    scores = score([tmp_path / "own", tmp_path / "forged"], SPEC)
    assert score(tmp_path / "own", SPEC).boards == tuple(board for board in scores.boards if board.pair is None)


def test_an_official_record_of_a_pair_is_refused(tmp_path: Path) -> None:
    own = write_matrix(tmp_path / "own", images=50, directions=("cnn-to-vit",))
    record = read_record(own[0]).model_copy(update={"pair": PAIR})
    folder = write_again(tmp_path / "forged", record, read_predictions(own[0]))
    assert check_record(folder) == ["it is called official, but it is of the open division"]


def test_a_record_without_a_pair_has_no_key_for_one_and_one_with_it_is_read_back(results: Path) -> None:
    texts = [(folder / "result.json").read_text() for folder in find_records(results)]
    pairs = [read_record(folder).pair for folder in find_records(results)]
    assert [('"pair"' in text) for text in texts] == [pair is not None for pair in pairs]
    assert {pair.words for pair in pairs if pair} == {PAIR.words, OTHER.words}


def test_the_terminal_names_the_networks(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_boards(score(results, SPEC), Console(width=300))
    assert f"open division: {PAIR.words}" in capsys.readouterr().out


def test_the_page_marks_and_names_the_boards_of_the_open_division(results: Path, tmp_path: Path) -> None:
    publish([results], tmp_path)
    page = Page((tmp_path / "index.html").read_text())
    assert "synthetic · open division · CPU" in page.text
    assert "A convnext_atto teaches a mixer_s32_224." in page.text
    assert f"Open division: other networks than those of the track, {PAIR.words}." in page.text
    ids = [tag[1]["id"] for tag in page.tags if "id" in tag[1]]
    assert len(ids) == len(set(ids))
