"""Printing the help of a command imports nothing that only the command itself needs."""

import subprocess
import sys

import pytest

from kdbench.cli.main import COMMANDS, name_of

HEAVY = ("torch", "timm", "numpy", "scipy", "pandas", "mlflow", "sqlalchemy", "jinja2", "rich", "PIL", "skimage", "ray")
MOST_MODULES = 330  # the standard library and typer make about 280
PROGRAM = """
import sys
from kdbench.cli.main import main
try:
    main()
except SystemExit:
    print("", *sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["", "data", *(name_of(command) for command, _ in COMMANDS)])
def test_help_imports_no_heavy_module(command: str) -> None:
    arguments = [sys.executable, "-c", PROGRAM, *command.split(), "--help"]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)
    modules = finished.stderr.split()
    assert "Usage" in finished.stdout
    assert {name.partition(".")[0] for name in modules}.isdisjoint(HEAVY)
    assert len(modules) < MOST_MODULES
