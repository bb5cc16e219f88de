"""`kdbench timing` times methods in a confined process, and reads what that leaves as hostile input."""

import json
from pathlib import Path

import pytest

from kdbench.errors import InputError, KdbenchError, SubmissionError
from kdbench.jobs.timing import run_timing
from kdbench.timing.step_times import read_timings
from tests.timing.timing_files import entry, timing_file


def test_an_unknown_method_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown method 'lmm'; known: .*independent"):
        run_timing(tmp_path / "timing.json", methods=["lmm"], device="cpu", print_line=print)
    assert not (tmp_path / "timing.json").exists()


BROKEN = """
from dataclasses import dataclass
from kdbench.api import Method

class Broken(Method):
    name, paper, summary, directions = "broken", "", "raises", ("cnn-to-vit",)

    @dataclass(frozen=True)
    class Config:
        pass

    def loss(self, batch, student, teacher):
        raise RuntimeError("no such thing")
"""


@pytest.mark.slow
def test_a_step_is_timed_and_a_broken_method_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    out = tmp_path / "timing.json"
    lines: list[str] = []
    methods = ["independent", str(tmp_path / "broken.py")]
    earlier = [entry("independent", 1e-6, direction=direction) for direction in ("cnn-to-vit", "vit-to-cnn")]
    stored = timing_file(tmp_path / "stored.json", *earlier)
    with pytest.raises(KdbenchError, match="broken"):
        run_timing(out, methods=methods, tracks=["synthetic"], device="cpu", stored=stored, print_line=lines.append)
    times = read_timings(out).steps
    assert {(time.method, time.direction) for time in times} == {
        ("independent", "cnn-to-vit"),
        ("independent", "vit-to-cnn"),
    }
    assert all(0 < time.seconds.low <= time.seconds.median <= time.seconds.high for time in times)
    assert json.loads(out.read_text())["machine_info"]
    assert any("1.00 (1.00 to 1.00) x independent" in line for line in lines)
    assert any("independent vit-to-cnn of synthetic got slower" in line for line in lines)


@pytest.mark.parametrize("content", ["", "[]", '{"benchmarks": [{}]}', "\0"])
def test_a_stored_file_that_is_none_is_refused_before_anything_is_timed(content: str, tmp_path: Path) -> None:
    (tmp_path / "stored.json").write_text(content)
    with pytest.raises(InputError, match=r"stored\.json is not a timing file"):
        run_timing(tmp_path / "out.json", device="cpu", stored=tmp_path / "stored.json", print_line=print)
    assert not (tmp_path / "out.json").exists()


LEAVING = """
import os
from pathlib import Path
place = Path("timing.json")
if Path("methods").is_dir():  # it is timed, not described
    place.unlink(missing_ok=True)
    """


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("os._exit(0)", "nothing was timed: the timing suite printed nothing"),
        ("place.write_text('[' * 10**5), os._exit(0)", "timing.json, which it did not write"),
        ("place.write_text('[]'), os._exit(0)", "timing.json, which it did not write"),
        ("place.symlink_to('/etc/passwd'), os._exit(0)", "which cannot be read"),
    ],
)
def test_whatever_a_method_leaves_is_a_sentence(code: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(f"{LEAVING}{code}\n{BROKEN}")
    with pytest.raises(InputError, match=sentence):
        run_timing(
            tmp_path / "out.json",
            methods=[str(tmp_path / "broken.py")],
            tracks=["synthetic"],
            device="cpu",
            print_line=print,
        )
    assert not (tmp_path / "out.json").exists()


def test_a_file_that_breaks_the_contract_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import os; os._exit(0)")
    lines: list[str] = []
    with pytest.raises(SubmissionError, match=r"broken\.py ended the process that read it"):
        run_timing(tmp_path / "out.json", methods=[str(tmp_path / "broken.py")], device="cpu", print_line=lines.append)
    assert lines == []
