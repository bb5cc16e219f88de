"""Method files are described in processes of their own; whatever those do, this one says it in a sentence."""

import os
import sys
import time
from pathlib import Path

import pytest

from kdbench.errors import SubmissionError
from kdbench.jobs import launcher as launching
from kdbench.jobs.describer import ConfinedDescriber
from kdbench.jobs.launcher import DESCRIBE_LIMITS, ForkLauncher, Limits
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.inquiries import Inquiry
from tests.planned_runs import described_here, trial_on

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are guarded on Linux alone")
SOUND = submission_path("lm").read_text()
ENDED = r"mine.py ended the process that read it \(%s\); a method file only defines a class"


@pytest.fixture(scope="module")
def describer() -> ConfinedDescriber:
    return ConfinedDescriber(ForkLauncher(DESCRIBE_LIMITS), workers=2)


def inquiry(text: str, path: Path = Path("/elsewhere/mine.py")) -> Inquiry:
    return Inquiry(path, text.encode(), trial=trial_on())


def test_shipped_methods_are_described_as_in_this_process(describer: ConfinedDescriber) -> None:
    files = [read_method_file(submission_path(name)) for name in list_submissions()]
    inquiries = [Inquiry(file.path, file.source, trial=trial_on()) for file in files]
    assert describer(inquiries) == described_here(inquiries)


ANSWERING = """
import inspect, os
frame = inspect.currentframe()
while "inquiry" not in frame.f_locals or "folder" not in frame.f_locals:
    frame = frame.f_back
place = frame.f_locals["folder"] / "answer.json"
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import os; os._exit(0)", ENDED % "exit code 0"),
        ("import os; os._exit(7)", ENDED % "exit code 7"),
        ("import sys; sys.exit(0)", "mine.py:1: the file does not import: SystemExit: 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ENDED % "signal 9"),
        ("import os, signal; os.killpg(0, signal.SIGKILL)", ENDED % "signal 9"),
        ("import ctypes; ctypes.string_at(0)", ENDED % "signal 11"),
        ("def f(): f()\nf()", "mine.py:1: the file does not import: RecursionError"),
        (
            "raise ValueError('long\\n\\x1b[31m' * 10**6)",
            r"mine.py:1: the file does not import: ValueError: long .*long",
        ),
        ("import beside_me", "mine.py:1: the file does not import: .*'beside_me'; a method is one file"),
        (ANSWERING + "place.write_text('{}'); os._exit(0)", "mine.py left answer.json, which does not describe"),
        (ANSWERING + "place.write_text('x' * 2**21); os._exit(0)", "left answer.json with 2097152 bytes"),
        (ANSWERING + "place.symlink_to('/etc/passwd'); os._exit(0)", "left answer.json, which cannot be read"),
        (ANSWERING + "place.mkdir(); os._exit(0)", "left answer.json, which is not a file"),
        (ANSWERING + "os.mkfifo(place); os._exit(0)", "left answer.json, which is not a file"),
        (ANSWERING + 'place.write_text(\'{"refusal": "a\\\\u001b[31mb"}\'); os._exit(0)', r"mine.py: a\[31mb$"),
        (ANSWERING + "place.write_text('[' * 10**5); os._exit(0)", "mine.py left answer.json, which does not describe"),
    ],
)
def test_whatever_a_file_does_is_said_in_a_sentence(text: str, sentence: str, describer: ConfinedDescriber) -> None:
    with pytest.raises(SubmissionError, match=sentence) as refused:
        describer([inquiry(text)])
    refusal = str(refused.value)
    assert refusal.startswith("/elsewhere/mine.py")
    assert "\n" not in refusal
    assert "\x1b" not in refusal
    assert len(refusal) < 1100
    assert refused.value.exit_code == 2


def test_a_file_that_never_ends_is_refused_at_the_limit(
    describer: ConfinedDescriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "DESCRIBE_LIMITS", Limits(seconds=1, memory_bytes=2**33))
    started = time.monotonic()
    with pytest.raises(SubmissionError, match=r"mine.py took more than 1 seconds while it was imported"):
        describer([inquiry("while True: pass")])
    assert time.monotonic() - started < 20


def test_a_file_that_takes_too_much_memory_is_refused(
    describer: ConfinedDescriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "DESCRIBE_LIMITS", Limits(seconds=30, memory_bytes=2**29))
    text = "import time\nkept = bytearray(2**30)\nkept[::4096] = b'x' * (2**30 // 4096)\ntime.sleep(60)"
    with pytest.raises(SubmissionError, match=r"mine.py took \d\.\d GiB of memory; the limit is 0.5 GiB"):
        describer([inquiry(text)])


def test_nothing_of_a_file_happens_in_this_process(describer: ConfinedDescriber, tmp_path: Path) -> None:
    text = f"""
import os, sys, torch
os.environ["SPOILT"] = "1"
torch.spoilt = True
try:
    open({str(tmp_path / "left")!r}, "w").close()
except OSError:
    pass
print("a line that nobody sees")
"""
    (described,) = describer([inquiry(SOUND + text)])
    assert described.name == "lm"
    assert "SPOILT" not in os.environ
    assert not hasattr(sys.modules["torch"], "spoilt")


def test_a_module_beside_the_file_is_not_found(describer: ConfinedDescriber, tmp_path: Path) -> None:
    (tmp_path / "beside_me.py").write_text("")
    with pytest.raises(SubmissionError, match="No module named 'beside_me'; a method is one file"):
        describer([inquiry("import beside_me", tmp_path / "mine.py")])


def test_the_first_refused_file_is_named_and_the_folders_are_removed(
    describer: ConfinedDescriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SubmissionError, match=r"second\.py"):
        describer([inquiry(SOUND), inquiry("x = 1", Path("second.py")), inquiry("x = 1", Path("third.py"))])
    assert list(tmp_path.iterdir()) == []


def test_folders_that_killed_commands_left_are_removed_and_those_in_use_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "place-left" / "0").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "place-link").symlink_to(tmp_path / "elsewhere")
    with temporary_folder("place-") as first, temporary_folder("place-") as second:
        assert set(tmp_path.iterdir()) == {first, second, tmp_path / "elsewhere", tmp_path / "place-link"}
    assert set(tmp_path.iterdir()) == {tmp_path / "elsewhere", tmp_path / "place-link"}


def test_without_the_sandbox_the_file_still_has_a_process_of_its_own() -> None:
    describer = ConfinedDescriber(ForkLauncher(DESCRIBE_LIMITS), workers=1, sandbox=False)
    (described,) = describer([inquiry(SOUND)])
    assert described.name == "lm"
    with pytest.raises(SubmissionError, match=ENDED % "exit code 0"):
        describer([inquiry("import os; os._exit(0)")])
