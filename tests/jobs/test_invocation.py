"""What an invocation says before and after its runs. All runs are done already, so that none is trained here."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.errors import DataError, InputError
from kdbench.jobs import cpu_time
from kdbench.jobs.invocation import run
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import plan
from kdbench.records import RESULT, find_records, write_record
from kdbench.records.current import CURRENT, read_current
from kdbench.testsets.frozen import NOT_ORIGINAL
from kdbench.testsets.gallery import GALLERY
from kdbench.training.outcome import OUTCOME
from tests.examples import a_record
from tests.planned_runs import described_here


def printed(options: RunOptions, *, of_records: Sequence[str] = ()) -> list[str]:
    """The lines of an invocation whose runs have records, which give `of_records` as reasons beside the planned."""
    planned = plan(options, described_here)
    for run_of_plan in planned.runs:
        reasons = (*run_of_plan.unofficial, *of_records)
        record = a_record(run_id=run_of_plan.run_id, unofficial=reasons)
        write_record(planned.context.folder(run_of_plan), record, {})
    gallery = planned.context.results / options.track / GALLERY
    gallery.parent.mkdir(parents=True, exist_ok=True)
    gallery.touch()
    console = Console(file=io.StringIO(), width=80)
    run(options, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def options(out: Path, *, epochs: int | None = None, limit_test: int | None = None) -> RunOptions:
    return RunOptions(
        "synthetic", methods=("independent",), out=out, device="cpu", workers=1, epochs=epochs, limit_test=limit_test
    )


def test_an_official_invocation_says_its_device_and_nothing_of_being_unofficial(tmp_path: Path) -> None:
    assert printed(options(tmp_path))[1:] == ["Questions: architecture.", "Device: cpu."]


def test_what_makes_runs_unofficial_is_said_before_they_begin_and_not_again(tmp_path: Path) -> None:
    lines = printed(options(tmp_path, epochs=1, limit_test=100))
    assert "0 to run" in lines[0]
    assert lines[2:] == ["Device: cpu.", "Unofficial, never ranked: --epochs 1, --limit-test 100."]


def test_what_only_records_know_is_said_at_the_end_on_one_line(tmp_path: Path) -> None:
    lines = printed(options(tmp_path, epochs=1), of_records=[NOT_ORIGINAL])
    assert lines[3:] == ["Unofficial, never ranked: --epochs 1.", f"Unofficial, never ranked: {NOT_ORIGINAL}."]


def test_an_invocation_writes_which_records_are_current(tmp_path: Path) -> None:
    printed(options(tmp_path))
    lists = json.loads((tmp_path / CURRENT).read_text())
    assert lists["outdated"] == []
    assert set(lists["current"]) == read_current(tmp_path).folders == {folder.name for folder in find_records(tmp_path)}


def paper(folder: Path, **more: object) -> RunOptions:
    return RunOptions("cifar10-224", methods=("lm",), out=folder, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"device": "cpu"}, {"device": "auto", "yes": True}])
def test_the_papers_track_runs_on_a_cpu_only_when_told_so_by_name(
    given: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_time, "operations_per_second", lambda track: 5e10)
    monkeypatch.setattr("kdbench.networks.device.choose_device", lambda wanted: "cpu")
    sentence = r"its 8 runs would take this CPU about \d+\.\d h, 2 at a time, .* up to \d+\.\d h.*--device cpu --yes"
    with pytest.raises(InputError, match=sentence):
        run(paper(tmp_path, workers=2, **given), Console(quiet=True))


def test_a_cpu_that_was_asked_for_by_name_is_used(tmp_path: Path) -> None:
    """What is missing then are the weights, which are looked for in the folder that was given."""
    with pytest.raises(DataError, match=f"resnet50.a1_in1k.safetensors .*are not in {tmp_path}"):
        run(paper(tmp_path, device="cpu", yes=True, weights_dir=tmp_path), Console(quiet=True))


def test_what_a_command_left_that_was_killed_after_a_record_was_written_is_removed(tmp_path: Path) -> None:
    planned = plan(options(tmp_path), described_here)
    context, run = planned.context, planned.runs[0]
    left = context.folder(run) / OUTCOME, context.environment_file(run)
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    printed(options(tmp_path))
    assert [path for path in left if path.exists()] == []
    assert (context.folder(run) / RESULT).exists()
