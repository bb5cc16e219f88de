"""What an invocation says before and after its runs. All runs are done already, so that none is trained here."""

import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from kdbench.jobs.invocation import Asked, plan, run
from kdbench.records import write_record
from kdbench.testsets.frozen import NOT_ORIGINAL
from kdbench.testsets.gallery import GALLERY
from tests.examples import a_record


def said(asked: Asked, *, of_records: Sequence[str] = ()) -> list[str]:
    """The lines of an invocation whose runs have records, which give `of_records` as reasons beside the planned."""
    runs, setting = plan(asked)
    for planned in runs:
        reasons = (*planned.unofficial, *of_records)
        write_record(setting.folder(planned), a_record(run_id=planned.run_id, unofficial=reasons), {})
    gallery = setting.results / asked.track / GALLERY
    gallery.parent.mkdir(parents=True, exist_ok=True)
    gallery.touch()
    console = Console(file=io.StringIO(), width=80)
    run(asked, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def asked(out: Path, *, epochs: int | None = None, limit_test: int | None = None) -> Asked:
    return Asked(
        "synthetic", methods=("independent",), out=out, device="cpu", workers=1, epochs=epochs, limit_test=limit_test
    )


def test_an_official_invocation_says_its_device_and_nothing_of_being_unofficial(tmp_path: Path) -> None:
    assert said(asked(tmp_path))[1:] == ["Device: cpu."]


def test_what_makes_runs_unofficial_is_said_before_they_begin_and_not_again(tmp_path: Path) -> None:
    lines = said(asked(tmp_path, epochs=1, limit_test=100))
    assert "0 to run" in lines[0]
    assert lines[1:] == ["Device: cpu.", "Unofficial, never ranked: --epochs 1, --limit-test 100."]


def test_what_only_records_know_is_said_at_the_end_on_one_line(tmp_path: Path) -> None:
    lines = said(asked(tmp_path, epochs=1), of_records=[NOT_ORIGINAL])
    assert lines[2:] == ["Unofficial, never ranked: --epochs 1.", f"Unofficial, never ranked: {NOT_ORIGINAL}."]
