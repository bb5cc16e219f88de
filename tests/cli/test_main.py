"""The command line says what is wrong in one sentence, with exit code 2, and starts nothing."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from kdbench.cli.data import app as data_app
from kdbench.cli.main import app
from kdbench.cli.results import app as results_app
from kdbench.errors import SpecError
from kdbench.jobs.lock import sole_user
from kdbench.resources import VERSION, shipped
from kdbench.testsets.spec import load_spec
from tests.command_line import Command, assert_refused
from tests.record_factory import write_matrix

COMMANDS = ["", *(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)]
RUN_LM = ("run", "--methods", "lm")  # each method file is read in a process of its own
GROUPS = {"data": data_app, "results": results_app}
SUBCOMMANDS = [f"{name} {command.name}" for name, group in GROUPS.items() for command in group.registered_commands]


def seconds_of_help() -> float:
    """Return the CPU time of a process that prints the help."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "kdbench", "--help"], stdout=subprocess.DEVNULL, check=True, timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_less_than_a_second_of_cpu_time() -> None:
    assert any(seconds_of_help() < 1.0 for _ in range(3))


def test_a_refusal_is_one_line_and_exit_code_2_for_the_shell_too() -> None:
    command = [sys.executable, "-m", "kdbench", "spec", "nowhere.toml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS, *SUBCOMMANDS])
def test_every_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: kdbench {command}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--track", "imagenet"], ["'imagenet'", "synthetic, synthetic-long, cifar10-32"]),
        (["--weights-dir", "nowhere"], ["nowhere", "kdbench data weights"]),
        (["--style", "nowhere.png"], ["nowhere.png", "is not a file"]),
        (["--methods", "lmm"], ["lmm", "independent", "lm"]),
        (["--directions", "cnn-to-rnn"], ["'cnn-to-rnn'", "cnn-to-vit, vit-to-cnn"]),
        (["--device", "tpu"], ["'tpu'", "auto, cpu, cuda"]),
        (["--sandbox", "on"], ["--sandbox 'on'", "one of: auto, off"]),
        (["--seeds", "one"], ["'one'", "0-4"]),
        (["--epochs", "0"], ["--epochs '0'", "whole number of at least 1"]),
        (["--epochs", "1.5"], ["--epochs '1.5'", "whole number of at least 1"]),
        (["--limit-test", "abc"], ["--limit-test 'abc'", "whole number of at least 10"]),
        (["--limit-train", "9"], ["--limit-train '9'", "whole number of at least 10"]),
        (["--workers", "x"], ["--workers 'x'", "whole number of at least 1"]),
        (["--time-limit", "nan"], ["--time-limit 'nan'", "number of at least 1"]),
        (["--stop-after", "0"], ["--stop-after '0'", "number of at least 0.01"]),
        (["--stop-after", "-1"], ["--stop-after '-1'", "number of at least 0.01"]),
        (["--stop-after", "soon"], ["--stop-after 'soon'", "number of at least 0.01"]),
        (["--memory-limit", "0"], ["--memory-limit '0'", "number of at least 0.1"]),
        (["--config", "lm.temprature=2"], ["temprature", "temperature, distill_weight"]),
        (["--config", "lm.temperature=-1"], ["temperature", "above 0"]),
        (["--config", "temperature"], ["METHOD.KEY=VALUE"]),
        (["--config", "crd.rate=1", "--methods", "lm"], ["'crd'", "not run"]),
        (["--track", "cifar10-32", "--data-root", "nowhere"], ["nowhere"]),
        (["--limit-tests", "10"], ["no option --limit-tests", "mean --limit-test", "run --help"]),
        (["--doses"], ["no option --doses (", "run --help"]),
        (["--limit"], ["no option --limit;", "--limit-test", "--limit-train"]),
        (["--epochs"], ["'--epochs' requires an argument", "run --help"]),
    ],
    ids=" ".join,
)
def test_a_wrong_flag_is_refused(kdbench: Command, arguments: list[str], words: list[str], tmp_path: Path) -> None:
    assert_refused(kdbench(*RUN_LM, "--out", str(tmp_path / "runs"), *arguments), *words)
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("runn", ["'runn'", "'run'", "kdbench --help"]),
        ("--debugg run", ["no option --debugg", "--debug", "kdbench --help"]),
        ("data bild", ["'bild'", "'build'", "data --help"]),
        ("data import", ["'archive'", "data import --help"]),
        ("results merge", ["'PACK'", "results merge --help"]),
        ("results merge board.zip", ["pack board.zip cannot be read: No such file or directory"]),
        ("results pack board.zip nowhere", ["nowhere is not a folder"]),
        ("ui runs more", ["(more)", "ui --help"]),
        ("score runs nowhere", ["no records in runs", "kdbench run"]),
        ("ui --port 0", ["--port '0'", "whole number from 1 to 65535"]),
        ("timing --device tpu", ["--device 'tpu'", "one of: auto, cpu, cuda"]),
        ("timing --scaling --methods lm", ["--scaling", "without --methods"]),
        ("timing --compare missing.json", ["missing.json cannot be read", "kdbench timing"]),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(kdbench: Command, command: str, words: list[str]) -> None:
    refused = kdbench(*command.split())
    assert_refused(refused, *words)
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["run --out runs", "data build --track synthetic", "timing --out timing.json"])
def test_cuda_is_refused_where_there_is_no_gpu(
    kdbench: Command, monkeypatch: pytest.MonkeyPatch, command: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused = kdbench(*command.split(), "--device", "cuda", cwd=tmp_path)
    assert_refused(refused, "--device cuda", "no GPU", "--device cpu")
    assert len(refused.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_spec_with_an_unknown_key_is_refused_with_the_allowed_ones(kdbench: Command, tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(shipped("benchmark", "v1", "spec.toml").read_text().replace("student_epochs", "student_epoch", 1))
    assert_refused(kdbench("spec", str(path)), "spec.toml", "tracks.synthetic.training", "student_epochs")


def test_an_unknown_key_is_named_before_missing_keys(kdbench: Command, tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(shipped("benchmark", "v1", "spec.toml").read_text().replace("student_epochs", "student_epoch", 1))
    assert_refused(kdbench("run", "--spec", str(path)), "unknown key tracks.synthetic.training.student_epoch =")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("student_epochs = 3", 'student_epochs = "three"', ["student_epochs", "'three'", "integer"]),
        ('"resnet18"', '"resnet9000"', ["cnn backbone", "'resnet9000'"]),
        ("layers = [1, 1, 1, 1]", "depth = 3", ["cnn backbone", "'depth': 3"]),
        ("synthetic-cnn-0.safetensors", "nonesuch.safetensors", ["nonesuch.safetensors", "cannot be read"]),
        ("version =", "version = = ", ["spec.toml is not TOML"]),
    ],
)
def test_a_spec_with_a_wrong_value_is_refused(
    kdbench: Command, old: str, new: str, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(shipped("benchmark", "v1", "spec.toml").read_text().replace(old, new, 1))
    assert_refused(kdbench(*RUN_LM, "--spec", str(path), "--out", str(tmp_path / "runs")), *words)
    assert not list(tmp_path.rglob("result.json"))


METHOD = """
from dataclasses import dataclass
from kdbench.api import BOTH, Method

class Mine(Method):
    name, paper, summary, directions = "NAME", "", "", BOTH
    @dataclass(frozen=True)
    class Config: pass
    def loss(self, batch, student, teacher):
        return student.logits.sum()
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nonesuch", ["mine.py:1: the file does not import", "nonesuch"]),
        ("def (", ["mine.py:1: the file is not Python", "SyntaxError"]),
        ("x = 1", ["mine.py defines no subclass"]),
        (METHOD.replace("NAME", "mine") + "class Yours(Mine): pass", ["2 subclasses of Method (Mine, Yours)"]),
        (METHOD, ["'NAME'", "lower-case"]),
        (METHOD.replace("NAME", "lm"), ["mine.py", "submissions/lm.py", "give one of them another"]),
        ("import os; os._exit(0)", ["mine.py ended the process that read it (exit code 0)"]),
    ],
)
def test_a_wrong_method_file_is_refused(kdbench: Command, text: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    result = kdbench("run", "--methods", str(tmp_path / "mine.py"), "--out", str(tmp_path / "runs"))
    assert_refused(result, *words)


def test_verifying_builds_nothing_and_says_what_is_missing(
    kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path))
    assert_refused(kdbench("data", "verify"), "clean, shape, ", "are not built", "kdbench data build --track synthetic")
    assert not list(tmp_path.iterdir())
    assert kdbench("data", "build", "--limit-test", "10", "--workers", "1").returncode == 0
    assert_refused(kdbench("data", "verify", "--limit-test", "10"), "clean (10 images) is not the frozen one")


def test_a_flipped_bit_in_a_built_array_is_refused(
    kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path))
    build = ("data", "build", "--limit-test", "10", "--workers", "1")
    assert kdbench(*build).returncode == 0
    array = next(tmp_path.glob("synthetic/shape-*/images.npy"))
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    assert_refused(kdbench(*build), str(array), "sha256", f"move {array.parent} elsewhere")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["run", "--site", "file"], "--site"),
        (["leaderboard", "--site", "file"], "--site"),
        (["data", "show", "--to", "file/sheet.png"], "--to"),
        (["timing", "--out", "file/timing.json"], "--out"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_done(
    kdbench: Command, arguments: list[str], option: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(kdbench(*arguments, cwd=tmp_path), "file", "cannot be written", option)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", ["score", "track", "leaderboard"])
def test_a_folder_without_records_is_refused_and_not_made(command: str, kdbench: Command, tmp_path: Path) -> None:
    result = kdbench(command, str(tmp_path / "nothing"), cwd=tmp_path)
    assert_refused(result, "no records", "kdbench run")
    assert not (tmp_path / "nothing").exists()


def test_timing_names_an_unknown_method(kdbench: Command, tmp_path: Path) -> None:
    assert_refused(
        kdbench("timing", "--methods", "lmm", "--out", str(tmp_path / "t.json")), "error: unknown method 'lmm'"
    )


def test_an_unexpected_error_is_a_sentence_too(kdbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.methods.files.list_submissions", lambda: 1 / 0)
    result = kdbench("methods")
    assert result.returncode == 1
    assert "unexpected ZeroDivisionError: division by zero; `kdbench --debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_raises_errors_with_their_traceback(kdbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.methods.files.list_submissions", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kdbench("--debug", "methods")
    with pytest.raises(SpecError):
        kdbench("--debug", "spec", "nowhere.toml")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('architecture = "resnet18"', 'architecture = "resnet"', ["tracks.synthetic:", "'resnet'"]),
        ('architecture = "resnet18"', 'architecture = "deit_tiny_patch16_224"', ["tracks.synthetic:", "cnn backbone"]),
        ("patch_size = 4,", "patch_size = 64,", ["tracks.synthetic:", "vit backbone", "its arguments"]),
        ("resnet50.a1_in1k", "resnet50.nobody", ["tracks.cifar10-224:", "no pretrained weights", "'resnet50.nobody'"]),
        ("c78e1db1b9ae8ae9", "0" * 16, ["tracks.synthetic:", "synthetic-cnn-0.safetensors", "sha256"]),
        ("stored = 32", "stored = 64", ["tracks.cifar10-224:", "stored 64 pixels wide", "32 pixels only"]),
    ],
    ids=["unknown", "other-family", "larger-than-images", "no-weights", "other-weights", "stored-size"],
)
def test_the_check_of_a_spec_file_refuses_a_track_that_cannot_be_run(
    old: str, new: str, words: list[str], kdbench: Command, tmp_path: Path
) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(shipped("benchmark", "v1", "spec.toml").read_text().replace(old, new, 1))
    checked = kdbench("spec", str(path))
    assert_refused(checked, "spec.toml", *words)
    track = words[0].removeprefix("tracks.").removesuffix(":")
    run = kdbench(*RUN_LM, "--spec", str(path), "--track", track, "--out", str(tmp_path / "runs"), "--device", "cpu")
    assert_refused(run, *words[1:])


def test_weights_that_are_not_the_specs_are_refused_before_anything_is_trained(
    kdbench: Command, tmp_path: Path
) -> None:
    path = tmp_path / "spec.toml"
    text = shipped("benchmark", "v1", "spec.toml").read_text()
    path.write_text(re.sub(r', sha256 = "[0-9a-f]+"', f', sha256 = "{"0" * 64}"', text))
    result = kdbench(*RUN_LM, "--spec", str(path), "--out", str(tmp_path / "runs"))
    assert_refused(result, "synthetic-cnn-0.safetensors", "sha256", "restore the shipped file")
    assert not list(tmp_path.rglob("result.json"))


def test_a_results_folder_that_cannot_be_written_is_refused(kdbench: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(
        kdbench(*RUN_LM, "--out", str(tmp_path / "file" / "runs")), "cannot be written", "choose another one"
    )


def test_a_second_command_in_one_results_folder_is_refused(kdbench: Command, tmp_path: Path) -> None:
    with sole_user(tmp_path):
        assert_refused(kdbench(*RUN_LM, "--out", str(tmp_path)), "another kdbench run", "another folder")
    with sole_user(tmp_path):  # free again
        pass


def test_a_board_that_is_piped_is_not_cut(kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    write_matrix(tmp_path, images=50)
    board = kdbench("score", str(tmp_path)).stdout
    assert "…" not in board
    assert "cnn teacher, texture" in board


@pytest.mark.parametrize("command", [("score",), ("leaderboard", "--site", "site")])
def test_a_refused_record_is_named_and_the_rest_is_scored(
    command: tuple[str, ...], kdbench: Command, tmp_path: Path
) -> None:
    folder = write_matrix(tmp_path / "runs", images=50, directions=("cnn-to-vit",))[-1]
    (folder / "predictions.npz").write_bytes(b"PK")
    result = kdbench(*command, str(tmp_path / "runs"), cwd=tmp_path)
    assert result.returncode == 0
    assert f"synthetic: refused {folder.name} (lm cnn-to-vit, texture teacher, seed 0): " in result.stdout
    assert "predictions.npz was changed after its record was written" in result.stdout


def test_methods_are_listed_for_people_and_for_programs(kdbench: Command) -> None:
    lines = kdbench("methods").stdout.splitlines()
    assert {"independent", "lm"} <= {line.split()[0] for line in lines}
    described = {method["name"]: method for method in json.loads(kdbench("methods", "--json").stdout)}
    assert [line.split()[0] for line in lines] == [*described]
    assert described["lm"]["config"] == {"temperature": 4.0, "distill_weight": 0.9}


def test_json_of_the_spec_has_whole_digests(kdbench: Command) -> None:
    shown = json.loads(kdbench("spec", "--json").stdout)
    loaded = load_spec()
    assert (shown["version"], [*shown["tracks"]]) == (loaded.version, [*loaded.tracks])
    assert shown["tracks"]["synthetic"]["training"] == loaded.tracks["synthetic"].training_digest


def test_json_of_scores_is_the_file_that_is_written(kdbench: Command, tmp_path: Path) -> None:
    write_matrix(tmp_path, images=50, directions=("cnn-to-vit",))
    printed = kdbench("score", str(tmp_path), "--json").stdout
    assert printed == (tmp_path / "scores.json").read_text()
    assert json.loads(printed)["boards"][0]["direction"] == "cnn-to-vit"


def test_the_version_is_printed(kdbench: Command) -> None:
    printed = kdbench("--version")
    assert (printed.returncode, printed.stdout) == (0, f"kdbench {VERSION}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_offered_the_commands_that_fit(shell: str) -> None:
    typed = {"COMP_WORDS": "kdbench sco", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "kdbench sco"}
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    environment = {**os.environ, **typed, **fish, "_KDBENCH_COMPLETE": f"complete_{shell}"}
    program = [str(Path(sys.executable).with_name("kdbench"))]
    offered = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=300).stdout
    assert "score" in offered
    assert "leaderboard" not in offered


def test_the_help_of_run_says_what_controls_are(kdbench: Command) -> None:
    text = " ".join(kdbench("run", "--help").stdout.split())
    assert "--controls" in text
    assert "never ranked" in text
