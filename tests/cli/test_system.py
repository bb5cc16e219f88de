"""The command line and a system that is not as it expects: streams, home directories, interruptions, refusals."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kdbench.__main__
from kdbench.cli.options import split_names
from kdbench.cli.system import sentence_of
from kdbench.interruptions import INTERRUPTED
from tests.command_line import Command, assert_refused

SHELL_COMMAND = f"{sys.executable} -m kdbench spec"  # prints more than a pipe holds


def in_shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_a_full_disk_under_the_output_is_said_in_a_sentence() -> None:
    done = in_shell(f"{SHELL_COMMAND} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "kdbench: error: standard output cannot be written: No space left on device; give the same command again to "
        "go on\n"
    )


def test_a_reader_that_goes_away_ends_the_command_without_a_word() -> None:
    done = in_shell(f"{SHELL_COMMAND} | true; echo ${{PIPESTATUS[0]}}")
    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")


def test_a_closed_output_is_no_error() -> None:
    done = in_shell(f"{SHELL_COMMAND} >&- <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_command_says_that_it_goes_on(kdbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.testsets.spec.load_spec", interrupted)
    done = kdbench("spec")
    assert (done.returncode, done.stderr.strip()) == (130, INTERRUPTED)


@pytest.mark.usefixtures("interrupts_are_heard")
def test_an_interruption_of_the_imports_is_said_in_the_same_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kdbench.cli.main.main", interrupted)
    with pytest.raises(SystemExit) as ended:
        kdbench.__main__.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == INTERRUPTED


def test_a_home_directory_after_an_equals_sign_is_understood(
    kdbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_refused(kdbench("spec", "~/nowhere.toml", cwd=tmp_path), str(tmp_path / "nowhere.toml"))
    assert_refused(kdbench("run", "--spec=~/nowhere.toml", cwd=tmp_path), str(tmp_path / "nowhere.toml"))
    assert kdbench("leaderboard", "nothing", "--site=~/site", cwd=tmp_path).returncode == 2
    assert (tmp_path / "site").is_dir()
    assert not (tmp_path / "~").exists()


def test_a_user_without_a_home_directory_is_refused(kdbench: Command) -> None:
    assert_refused(kdbench("score", "~nobody-of-this-name/runs"), "has no home directory; write the path whole")


def test_a_comma_in_the_path_of_a_method_separates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "a, b" / "mine,2.py"
    path.parent.mkdir()
    path.touch()
    (tmp_path / "other.py").touch()
    assert split_names(f"lm, {path},~/other.py,,crd") == ("lm", str(path), str(tmp_path / "other.py"), "crd")
    assert split_names("") == ()


def test_a_list_of_methods_may_be_longer_than_a_path() -> None:
    names = [f"/method-files/{number}.py" for number in range(1000)]
    assert split_names(",".join(names)) == tuple(names)


def refusing(name: str, folder: Path, number: int) -> Callable[..., Any]:
    """Return a function of `os` that is refused below a folder, as a file system refuses it."""
    function = getattr(os, name)

    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(folder):
            raise OSError(number, os.strerror(number), os.fspath(path))
        return function(path, *arguments, **options)

    return refuse


@pytest.mark.parametrize("command", [("data", "verify"), ("data", "weights")], ids=" ".join)
def test_the_cache_of_another_user_is_refused_in_a_sentence(
    command: tuple[str, ...], kdbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "private"))
    monkeypatch.setattr(os, "stat", refusing("stat", tmp_path / "private", errno.EACCES))
    done = kdbench(*command)
    assert_refused(done, str(tmp_path / "private"), "Permission denied; let this user read and write there, or set the")
    assert "KDBENCH_CACHE to another folder" in done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EMFILE, "raise the limit on open files"),
        (errno.EROFS, "choose another place"),
        (errno.EIO, "its disk does not answer"),
        (errno.ELOOP, "choose another place"),
    ],
    ids=["too many open files", "read-only", "input/output error", "loop of links"],
)
def test_what_the_system_refuses_is_said_with_what_to_do(number: int, advice: str, tmp_path: Path) -> None:
    sentence = sentence_of(OSError(number, os.strerror(number), str(tmp_path)))
    assert sentence is not None
    assert sentence.startswith(f"{tmp_path}: {os.strerror(number)}; {advice}")


def test_an_error_of_this_program_stays_unexpected() -> None:
    assert sentence_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "forgotten")) is None
