"""The long synthetic track runs, and its students are evaluated on the arrays of the short one."""

from pathlib import Path

import pytest
from rich.console import Console

from kdbench.jobs.invocation import run
from kdbench.records import Record
from tests.jobs.small_jobs import an_independent_in

pytestmark = pytest.mark.slow


def records_of(track: str, folder: Path) -> list[Record]:
    return list(run(an_independent_in(folder, track), Console(quiet=True)).records)


def test_both_tracks_evaluate_on_the_same_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    short, long = (records_of(track, tmp_path / track) for track in ("synthetic", "synthetic-long"))
    assert [record.status for record in long] == ["ok"] * 3
    assert [record.digests.arrays for record in long] == [record.digests.arrays for record in short]
    assert not {record.digests.weights for record in long} & {record.digests.weights for record in short}
