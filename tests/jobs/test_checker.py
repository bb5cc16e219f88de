"""A file is checked in a confined process; what that process leaves is read as an adversary may have left it."""

import json
from pathlib import Path

import pytest

from kdbench.checks.report import CLAIMS
from kdbench.methods.scaffolding import write_method
from tests.checks.broken_methods import BROKEN
from tests.command_line import Command

pytestmark = pytest.mark.slow

DIES = """
def loss(self, batch, student, teacher):
    import os
    os._exit(0)
"""
LIES = """
def loss(self, batch, student, teacher):
    import gc, os
    from pathlib import Path
    folder = next(thing.folder for thing in gc.get_objects() if type(thing).__name__ == "Assignment")
    answer = folder.parents[1] / "answer.json"
    answer.write_text(CONTENT)
    os._exit(0)
"""
TERMINAL = json.dumps({"findings": [{"check": "contract", "outcome": "failed", "seen": "\x1b[31mred\n" * 20}]})


def broken_file(folder: Path, body: str) -> Path:
    sound = BROKEN["random-numbers-of-python"]
    path = folder / "broken.py"
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    path.write_text(sound.source.partition("    def loss")[0] + lines + "\n")
    return path


def test_a_new_method_and_its_test_pass(kdbench: Command, tmp_path: Path) -> None:
    file, _ = write_method("own", "loss", tmp_path)
    result = kdbench("check", str(file))
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "all checks passed"
    assert result.stdout.count("passed") == len(CLAIMS) + 1


def test_a_failure_names_line_sight_and_remedy(kdbench: Command, tmp_path: Path) -> None:
    broken, file = BROKEN["shapes-that-do-not-fit"], tmp_path / "broken.py"
    file.write_text(broken.source)
    result = kdbench("check", str(file), "--json")
    assert result.returncode == 1
    findings = {finding["check"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert findings["training"]["place"] == f"broken.py:{broken.line_number}"
    assert findings["resume"] == {
        "check": "resume",
        "outcome": "skipped",
        "place": "",
        "seen": "an earlier check failed",
        "claim": CLAIMS["resume"].claim,
        "to_do": "",
    }
    assert findings["training"]["to_do"] == CLAIMS["training"].remedy
    table = kdbench("check", str(file)).stdout
    assert f"broken.py:{broken.line_number}: vit-to-cnn: RuntimeError" in table
    assert f"to do: {CLAIMS['training'].remedy}" in table


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (DIES, "the method ended the process (exit code 0)"),
        (LIES.replace("CONTENT", repr(TERMINAL)), "[31mred [31mred"),
        (LIES.replace("CONTENT", repr("{")), "the method left answer.json, which is no report"),
        (LIES.replace("CONTENT", repr("[" * 10**5)), "the method left answer.json, which is no report"),
        (LIES.replace("CONTENT", "'x' * 2**21"), "the method left answer.json with"),
    ],
)
def test_a_method_that_ends_or_deceives_the_process_fails(
    kdbench: Command, tmp_path: Path, body: str, seen: str
) -> None:
    result = kdbench("check", str(broken_file(tmp_path, body)))
    assert result.returncode == 1
    assert seen in result.stdout
    assert "\x1b" not in result.stdout


def test_a_missing_file_is_refused(kdbench: Command, tmp_path: Path) -> None:
    result = kdbench("check", str(tmp_path / "none.py"))
    assert result.returncode == 2
    assert "does not exist" in result.stderr
