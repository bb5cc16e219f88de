"""The command line says what is wrong in one sentence, with exit code 2, and starts nothing."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdbench.benchmark import sole_user
from kdbench.cli import app
from kdbench.data_commands import app as data_app
from kdbench.resources import shipped

COMMANDS = ["", *(one.name or one.callback.__name__ for one in app.registered_commands if one.callback)]
DATA_COMMANDS = ["data", *(f"data {one.name}" for one in data_app.registered_commands)]


def kdbench(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "kdbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=120)


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4
    for word in words:
        assert word in result.stderr


def test_help_takes_less_than_a_second_of_a_processor() -> None:
    fastest = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert kdbench("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        fastest = min(fastest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert fastest < 1.0


@pytest.mark.parametrize("command", COMMANDS + DATA_COMMANDS)
def test_every_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: kdbench {command}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--track", "imagenet"], ["'imagenet'", "synthetic, cifar10-32"]),
        (["--weights-dir", "nowhere"], ["nowhere", "kdbench data weights"]),
        (["--methods", "lmm"], ["lmm", "independent", "lm"]),
        (["--directions", "cnn-to-rnn"], ["'cnn-to-rnn'", "cnn-to-vit, vit-to-cnn"]),
        (["--device", "tpu"], ["'tpu'", "auto, cpu, cuda"]),
        (["--seeds", "one"], ["'one'", "0-4"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--config", "lm.temprature=2"], ["temprature", "temperature, distill_weight"]),
        (["--config", "lm.temperature=-1"], ["temperature", "above 0"]),
        (["--config", "temperature"], ["METHOD.KEY=VALUE"]),
        (["--config", "crd.rate=1", "--methods", "lm"], ["'crd'", "not run"]),
        (["--track", "cifar10-32", "--data-root", "nowhere"], ["nowhere"]),
        (["--colour", "red"], ["--colour"]),
    ],
)
def test_a_wrong_flag_is_refused(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    assert_refused(kdbench("run", "--out", str(tmp_path / "runs"), *arguments), *words)
    assert not list(tmp_path.rglob("result.json"))


def test_a_spec_with_an_unknown_key_is_refused_with_the_allowed_ones(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(shipped("benchmark", "v1", "spec.toml").read_text().replace("student_epochs", "student_epoch", 1))
    assert_refused(kdbench("spec", str(path)), "spec.toml", "tracks.synthetic.training", "student_epochs")


def test_weights_that_are_not_the_specs_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    text = shipped("benchmark", "v1", "spec.toml").read_text()
    path.write_text(re.sub(r'weights_sha256 = "[0-9a-f]+"', f'weights_sha256 = "{"0" * 64}"', text))
    result = kdbench("run", "--spec", str(path), "--out", str(tmp_path / "runs"))
    assert_refused(result, "synthetic-cnn.safetensors", "sha256", "restore the shipped file")
    assert not list(tmp_path.rglob("result.json"))


def test_a_results_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(kdbench("run", "--out", str(tmp_path / "file" / "runs")), "cannot be written", "--out")


def test_a_second_command_in_one_results_folder_is_refused(tmp_path: Path) -> None:
    with sole_user(tmp_path):
        assert_refused(kdbench("run", "--out", str(tmp_path)), "another kdbench run", "--out")
    with sole_user(tmp_path):  # free again
        pass


def test_rendering_without_records_says_what_to_do(tmp_path: Path) -> None:
    assert_refused(kdbench("leaderboard", "--out", str(tmp_path)), "no records", "kdbench run")


def test_methods_are_listed() -> None:
    lines = kdbench("methods").stdout.splitlines()
    assert {"independent", "lm"} <= {line.split()[0] for line in lines}


def test_the_help_of_run_says_what_controls_are() -> None:
    text = " ".join(kdbench("run", "--help").stdout.split())
    assert "--controls" in text
    assert "never ranked" in text
