"""A results folder and its pack."""

from pathlib import Path

import pytest

from tests.packs.results_folders import packed, write_results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "runs")


@pytest.fixture
def board(results: Path, tmp_path: Path) -> Path:
    return packed(results, tmp_path / "board.zip")
