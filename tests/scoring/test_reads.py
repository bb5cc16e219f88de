"""Scoring reads every file of a record once, and imports nothing that trains, draws or tracks."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kdbench.records import PREDICTIONS, RESULT
from kdbench.scoring.board import score
from kdbench.testsets.spec import load_spec
from tests.record_factory import write_matrix

NEEDLESS = ("torch", "timm", "mlflow", "pandas", "scipy.stats", "scipy.optimize", "skimage", "sqlalchemy", "jinja2")


def test_each_file_of_a_record_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = write_matrix(tmp_path, images=20, directions=("cnn-to-vit",))
    reads: Counter[Path] = Counter()
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        reads[path] += 1
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert score(tmp_path, load_spec()).boards
    in_records = {path: number for path, number in reads.items() if path.parent in folders}
    assert in_records == {folder / name: 1 for folder in folders for name in (RESULT, PREDICTIONS)}


def test_scoring_imports_nothing_that_it_does_not_need() -> None:
    program = "import sys, kdbench.scoring.board, kdbench.cli.boards; print(*sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(finished.stdout.split()).isdisjoint(NEEDLESS)
