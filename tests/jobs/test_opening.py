"""Test sets are opened for a command, built where they are missing, or one sentence says what is in the way."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.errors import InputError
from kdbench.jobs import cpu_time
from kdbench.jobs.opening import open_test_sets
from kdbench.plan.options import TestSetOptions
from kdbench.plan.overrides import with_overrides
from kdbench.testsets.spec import load_spec
from tests.testsets.pictures import small_cifar10

TRACKS = load_spec().tracks


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path))


def opened(track_name: str) -> tuple[dict[str, int], list[str]]:
    """The number of images by test set, and the lines that a log gets."""
    track, _ = with_overrides(TRACKS[track_name], limit_test=10)
    console = Console(file=io.StringIO(), width=200)
    source, arrays = open_test_sets(track, TestSetOptions(track_name, device="cpu", workers=1), console)
    assert source is None
    assert isinstance(console.file, io.StringIO)
    return {name: len(entry) for name, entry in arrays.items()}, console.file.getvalue().splitlines()


def test_missing_sets_are_built_once_with_a_line_each() -> None:
    first, lines = opened("synthetic")
    assert set(first.values()) == {10}
    assert lines == [f"building test set {name}: 10 images" for name in first]
    assert opened("synthetic") == (first, [])


def test_sets_that_networks_make_are_refused_on_a_cpu_with_the_time_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.data.decoded.source_of", lambda *_: small_cifar10(1))
    monkeypatch.setattr(cpu_time, "operations_per_second", lambda track: 5e10)
    sentence = r"shape.* not built, and networks make them: .* --device cpu --yes, .* about [\d.]+ (h|min|s); or import"
    with pytest.raises(InputError, match=sentence):
        opened("cifar10-224")
