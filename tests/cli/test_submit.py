"""`kdbench submit` prints what it checked, and says what to do next."""

import shutil
from pathlib import Path

import pytest

from kdbench.checks.report import CheckReport
from kdbench.jobs.checker import CheckedFile
from tests.command_line import Command, assert_refused
from tests.planned_runs import described_here
from tests.review.submissions import write_submission

STATED = ("--author", "Ada Lovelace", "--author", "Grace Hopper", "--citation", "Lovelace (2026)", "--licence", "MIT")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let files be described in this process and pass their checks, which tests of these parts try in earnest.

    The made-up records meet no official ones, which their teachers would contradict.
    """
    monkeypatch.setattr("kdbench.review.submitting.official_folder", lambda: tmp_path / "official")
    monkeypatch.setattr("kdbench.jobs.invocation.confined_jobs", lambda options: (None, described_here))
    monkeypatch.setattr("kdbench.jobs.checker.check_method_file", lambda path, track: CheckedFile(CheckReport()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a method file and all its runs of one seed."""
    return write_submission(tmp_path_factory.mktemp("whole")).parent


def test_a_submission_is_written_and_the_next_steps_are_said(kdbench: Command, whole: Path, tmp_path: Path) -> None:
    done = kdbench("submit", "mine.py", *STATED, "--to", str(tmp_path / "mine"), cwd=whole)
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed  authors, citation and licence are given\n          Ada Lovelace, Grace Hopper; MIT" in done.stdout
    assert "note    there are 5 seeds, which a rank needs" in done.stdout
    assert f"copy what is in {tmp_path / 'mine' / 'repository'} into a checkout" in done.stdout
    assert (tmp_path / "mine" / "pull-request.md").exists()


def test_a_failed_check_says_what_to_do_and_writes_nothing(kdbench: Command, whole: Path, tmp_path: Path) -> None:
    done = kdbench("submit", "mine.py", "--to", str(tmp_path / "mine"), cwd=whole)
    assert done.returncode == 1
    assert "          to do: give --author and --citation and --licence\n" in done.stdout
    assert done.stdout.endswith("1 of 13 checks failed; nothing was written\n")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "method file nowhere.py does not exist"),
        (["mine.py", "nowhere"], "there are no records in nowhere"),
        (["mine.py", "--licence", "MIT\nBSD"], "--licence 'MIT\\nBSD' is not allowed; give one line"),
        (["mine.py", "--track", "imagenet"], "'imagenet'"),
        (["mine.py", "--to", "runs"], "runs holds other files; choose another folder with --to"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(
    kdbench: Command, whole: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "runs").symlink_to(whole / "runs")
    shutil.copy(whole / "mine.py", tmp_path)
    refused = kdbench("submit", *arguments, cwd=tmp_path)
    assert_refused(refused, words)
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "submission").exists()
