"""The long synthetic track runs, and its students are evaluated on the arrays of the short one."""

from pathlib import Path

import pytest
from rich.console import Console

from kdbench.jobs.invocation import run
from kdbench.plan.options import RunOptions
from kdbench.records import Record

pytestmark = pytest.mark.slow


def records_of(track: str, folder: Path) -> list[Record]:
    options = RunOptions(
        track,
        methods=("independent",),
        directions=("vit-to-cnn",),
        out=folder,
        limit_train=64,
        limit_test=10,
        epochs=1,
        device="cpu",
        workers=1,
    )
    return list(run(options, Console(quiet=True)).records)


def test_both_tracks_evaluate_on_the_same_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    short, long = (records_of(track, tmp_path / track) for track in ("synthetic", "synthetic-long"))
    assert [record.status for record in long] == ["ok"] * 3
    assert [record.digests.arrays for record in long] == [record.digests.arrays for record in short]
    assert not {record.digests.weights for record in long} & {record.digests.weights for record in short}
