"""The notebook of the library runs from top to bottom on a tiny run, and what it shows is true."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "library.ipynb"
END = """
assert profile.profile.clean.value == round(student.macro_accuracy, 6)
assert any(neighbour.distance == 0 or neighbour.distance is None for neighbour in profile.neighbours)
twin = next(neighbour for neighbour in profile.neighbours if neighbour.profile.clean == profile.profile.clean)
assert {axis: score.accuracy for axis, score in twin.profile.axes.items()} == {
    axis: score.accuracy for axis, score in profile.profile.axes.items()
}
"""
PROGRAM = """
if __name__ == "__main__":
    for cell in {cells!r}:
        exec(compile(cell, "cell", "exec"), globals())
"""


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_is_stored_without_outputs_and_offers_every_function() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    text = "\n".join(code_cells())
    assert [
        name for name in ("run", "score", "load_results", "load_scores", "profile") if f"kdbench.{name}(" not in text
    ] == []


@pytest.mark.slow
def test_the_notebook_runs_and_its_profile_is_that_of_the_board(tmp_path: Path) -> None:
    program = tmp_path / "notebook.py"
    program.write_text(PROGRAM.format(cells=[*code_cells(), END]))
    variables = {**os.environ, "KDBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(NOTEBOOK.parents[1])}
    finished = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert finished.stdout.startswith("student of lm, track synthetic\n")
