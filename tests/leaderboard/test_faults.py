"""Files that cannot be read are all named on the page and in the terminal, and what can be read is shown."""

import errno
import json
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from kdbench.leaderboard.publish import Published, publish
from kdbench.records import RESULT, find_records, read_record, write_record
from kdbench.records.current import CURRENT
from kdbench.scoring.board import score
from kdbench.testsets.gallery import GALLERY
from kdbench.testsets.spec import load_spec
from tests.command_line import Command
from tests.leaderboard.page import Page
from tests.record_factory import write_matrix

RED = '<div class="alert" role="alert">'


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_matrix(tmp_path / "runs", directions=("cnn-to-vit",), images=50)
    return tmp_path / "runs"


def published(results: Path) -> tuple[Published, Page]:
    rendered = publish([results], results.parent / "site")
    return rendered, Page(rendered.page.read_text())


def damage_all_but_records(results: Path) -> list[Path]:
    """Damage every file beside the records that the page is made from; return their paths."""
    damaged = [results / CURRENT, results / "synthetic" / GALLERY, results / "timing.json"]
    for path in damaged:
        path.write_bytes(b"")
    return damaged


def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse to make a file below a folder."""
    write = Path.open

    def refuse(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:
        if "x" in mode and path.is_relative_to(folder):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return write(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)


def test_whole_results_have_no_red_banner(results: Path) -> None:
    rendered, page = published(results)
    assert rendered.faults == ()
    assert RED not in page.source


def test_damaged_files_are_all_named_and_the_records_are_scored(results: Path) -> None:
    whole = published(results)[0].scores
    damaged = damage_all_but_records(results)
    rendered, page = published(results)
    assert rendered.scores == whole
    assert len(rendered.faults) == len(damaged)
    for path in damaged:
        assert any(str(path) in fault for fault in rendered.faults)
        assert page.source.index(RED) < page.source.index(str(path)) < page.source.index("<section")


def test_damaged_records_are_counted_on_top_and_the_others_are_scored(results: Path) -> None:
    *_, first, second = find_records(results)
    (first / RESULT).write_text("{")
    (second / "predictions.npz").write_bytes(b"")
    rendered, page = published(results)
    assert {refused.record for refused in rendered.scores.refused} == {first.name, second.name}
    assert rendered.scores.boards
    assert "2 records could not be used; the others are scored below." in page.text


def test_a_file_of_another_program_is_named_and_nobody_is_told_to_delete_it(results: Path) -> None:
    foreign = results / "synthetic" / "my-notes" / RESULT
    foreign.parent.mkdir()
    foreign.write_text(json.dumps({"accuracy": 0.9}))
    rendered, page = published(results)
    (refused,) = rendered.scores.refused
    assert refused.record == "my-notes"
    assert "move my-notes out of the results folder" in refused.reason
    assert "delete" not in page.text
    assert rendered.scores.boards == score(results, load_spec()).boards


def test_runs_that_all_failed_are_said_on_top_of_page_and_board(results: Path, kdbench: Command) -> None:
    for folder in find_records(results):
        failed = read_record(folder).model_copy(update={"status": "error", "reason": "no reason", "test": {}})
        write_record(folder, failed, {})
    page = published(results)[1]
    count = len(find_records(results))
    assert page.source.index(RED) < page.source.index(f"0 of {count} runs succeeded.") < page.source.index("<section")
    assert kdbench("score", str(results)).stdout.splitlines()[0] == f"0 of {count} runs succeeded"


def test_results_that_are_all_refused_are_listed_before_the_error(results: Path, kdbench: Command) -> None:
    for folder in find_records(results):
        (folder / RESULT).write_text("{")
    done = kdbench("leaderboard", str(results), "--site", str(results.parent / "site"))
    assert done.returncode == 2
    assert all(f"refused {folder.name}: " in done.stdout for folder in find_records(results))
    assert "there is nothing to score" in done.stderr
    assert "nothing is left to score" in Page((results.parent / "site" / "index.html").read_text()).text


@pytest.mark.parametrize("command", [("score",), ("leaderboard", "--site", "site")], ids=lambda command: command[0])
def test_results_that_are_read_only_have_a_board_and_a_page(
    command: tuple[str, ...], results: Path, kdbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(results, monkeypatch)
    done = kdbench(*command, str(results), cwd=results.parent)
    assert done.returncode == 0
    assert f"warning: the scores are not kept: cannot write {results / 'scores.json'}: Read-only" in done.stderr
    assert "synthetic, cnn-to-vit" in done.stdout if command == ("score",) else (results.parent / "site").is_dir()


def test_a_gallery_that_the_system_cannot_open_is_not_called_damaged(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(np, "load", refuse)
    rendered, _ = published(results)
    assert not any("move" in fault for fault in rendered.faults)
    assert all("`ulimit -n`" in refused.reason for refused in rendered.scores.refused)


def test_a_results_folder_may_have_any_name(tmp_path: Path, kdbench: Command) -> None:
    results = tmp_path / "50%25, wh?t [a]#~{x}" / "runs"
    write_matrix(results, directions=("cnn-to-vit",), images=50)
    site = results.parent / "site"
    assert kdbench("leaderboard", str(results), "--site", str(site)).returncode == 0
    assert {path.name for path in results.parent.iterdir()} == {"runs", "site"}
    assert [path.name for path in tmp_path.iterdir()] == [results.parent.name]
    assert (results / "scores.json").is_file()
