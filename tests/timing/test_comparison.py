"""Comparing two measurements of the timing suite."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.timing.comparison import TimingComparison, compare
from kdbench.timing.step_times import read_timings
from tests.timing.timing_files import entry, timing_file


def comparison(tmp_path: Path, new: list[dict[str, object]], stored: list[dict[str, object]]) -> TimingComparison:
    before = timing_file(tmp_path / "stored.json", *stored)
    return compare(read_timings(timing_file(tmp_path / "new.json", *new)), read_timings(before), before)


def test_a_step_that_got_slower_is_a_sentence(tmp_path: Path) -> None:
    result = comparison(
        tmp_path, [entry("lm", 0.3), entry("independent", 0.2)], [entry("lm", 0.2), entry("independent", 0.19)]
    )
    assert result.slower == (
        "lm cnn-to-vit of synthetic got slower: its step takes 3.00 (2.70 to 3.30) bare steps, and took "
        f"2.00 (1.80 to 2.20) in {tmp_path / 'stored.json'}.",
    )
    assert result.notes == ("1 of 2 steps got slower than their intervals allow.",)


def test_a_slower_machine_makes_no_step_slower(tmp_path: Path) -> None:
    result = comparison(tmp_path, [entry("lm", 0.6, bare_seconds=0.2)], [entry("lm", 0.3, bare_seconds=0.1)])
    assert result.slower == ()


def test_a_faster_step_is_not_flagged(tmp_path: Path) -> None:
    assert comparison(tmp_path, [entry("lm", 0.1)], [entry("lm", 0.3)]).slower == ()


def test_overlapping_intervals_are_not_flagged(tmp_path: Path) -> None:
    assert comparison(tmp_path, [entry("lm", 0.21)], [entry("lm", 0.2)]).slower == ()


def test_steps_that_are_not_stored_are_counted(tmp_path: Path) -> None:
    result = comparison(tmp_path, [entry("lm", 0.2), entry("crd", 0.2)], [entry("lm", 0.2)])
    assert "1 steps are not in" in result.notes[1]


def test_another_pytorch_and_machine_are_named(tmp_path: Path) -> None:
    new = read_timings(timing_file(tmp_path / "new.json", entry("lm", 0.2)))
    path = timing_file(tmp_path / "stored.json", entry("lm", 0.2, torch="2.7.0"), cpu="another CPU")
    (note,) = compare(new, read_timings(path), path).notes[1:]
    assert "another CPU, 2 cores, PyTorch 2.7.0, cpu; here a CPU, 2 cores, PyTorch 2.6.0, cpu" in note


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the steps"):
        comparison(tmp_path, [entry("lm", 0.2)], [entry("lm", 0.2, direction="vit-to-cnn")])
