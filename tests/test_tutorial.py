"""The files of the tutorial are complete: a reader who copies them has a method that passes its tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import Command

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"


def files_of(text: str) -> dict[str, str]:
    """Return the contents of the files that a document shows, by name."""
    return dict(re.findall(r"^```python title=\"(.+?)\"\n(.*?)^```", text, flags=re.M | re.S))


def test_the_tutorial_shows_the_files_that_its_command_writes(kdbench: Command, tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    name = re.findall(r"^kdbench new (\S+)$", text, flags=re.M)[0]
    assert kdbench("new", name, f"--folder={tmp_path}").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files_of(text))


@pytest.mark.slow
def test_the_method_of_the_tutorial_passes_its_tests(tmp_path: Path) -> None:
    for name, content in files_of(TUTORIAL.read_text(encoding="utf-8")).items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
    assert "3 passed" in finished.stdout
