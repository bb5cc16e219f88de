"""What the timing suite measured: read from its file and shown."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.timing.step_times import StepTime, read_timings, table
from tests.timing.timing_files import ROUNDS, entry, timing_bytes, timing_file


def steps(tmp_path: Path, *entries: dict[str, object]) -> tuple[StepTime, ...]:
    return read_timings(timing_file(tmp_path / "timing.json", *entries)).steps


def test_a_ratio_compares_bare_steps_within_a_direction(tmp_path: Path) -> None:
    times = steps(
        tmp_path,
        entry("independent", 0.2),
        entry("lm", 0.6, bare_seconds=0.2),  # at a time when the machine was half as fast
        entry("independent", 0.1, direction="vit-to-cnn"),
        entry("lm", 0.3, direction="vit-to-cnn"),
    )
    assert [time.ratio and time.ratio.median for time in times] == pytest.approx([1.0, 1.5, 1.0, 3.0])
    assert all(time.ratio.low < time.ratio.median < time.ratio.high for time in times[1::2] if time.ratio)


def test_without_independent_there_is_no_ratio(tmp_path: Path) -> None:
    (alone,) = steps(tmp_path, entry("lm", 0.3))
    assert alone.ratio is None
    assert "no independent" in table([alone])[1]


def test_the_table_says_milliseconds_interval_and_number_of_rounds(tmp_path: Path) -> None:
    lines = table(steps(tmp_path, entry("lm", 0.3), entry("independent", 0.2)))
    assert lines[0] == "synthetic cnn-to-vit, batches of 64, cpu"
    expected = (
        f"independent 200.0 ms (180.0 to 220.0, {ROUNDS} rounds) 2.00 (1.80 to 2.20) bare steps "
        "1.00 (1.00 to 1.00) x independent"
    )
    assert " ".join(lines[1].split()) == expected
    assert lines[2].lstrip().startswith("lm")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"benchmarks": [{"stats": {}}]}',
        timing_bytes([]),
        timing_bytes([entry("lm", -0.3)]),
        timing_bytes([entry("lm", 0.3), entry("independent", 0.2, torch="2.7.0")]),
        timing_bytes([{**entry("lm", 0.3), "stats": {"data": [0.3] * (ROUNDS - 1)}}]),
    ],
    ids=[
        "empty",
        "no steps",
        "another layout",
        "without steps",
        "negative",
        "two versions",
        "a round without its pair",
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "timing.json").write_bytes(content)
    with pytest.raises(InputError, match="not a timing file"):
        read_timings(tmp_path / "timing.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_timings(tmp_path / "timing.json")
