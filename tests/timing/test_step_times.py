"""What the timing suite measured: read from its file, compared and shown."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.timing.step_times import StepTime, read_timings, table, with_ratios


def a_time(method: str, median: float, direction: str = "cnn-to-vit") -> StepTime:
    return StepTime("synthetic", direction, method, "cpu", 64, median, 0.9 * median, 1.1 * median, 15, None)


def test_a_ratio_compares_medians_within_a_direction() -> None:
    times = with_ratios(
        [
            a_time("independent", 0.2),
            a_time("lm", 0.3),
            a_time("independent", 0.1, "vit-to-cnn"),
            a_time("lm", 0.3, "vit-to-cnn"),
        ]
    )
    assert [time.ratio for time in times] == pytest.approx([1.0, 1.5, 1.0, 3.0])


def test_without_independent_there_is_no_ratio() -> None:
    (alone,) = with_ratios([a_time("lm", 0.3)])
    assert alone.ratio is None
    assert "no independent" in table([alone])[1]


def test_the_table_says_milliseconds_spread_and_number_of_steps() -> None:
    lines = table(with_ratios([a_time("lm", 0.3), a_time("independent", 0.2)]))
    assert lines[0] == "synthetic cnn-to-vit, batches of 64, cpu"
    expected = "independent 200.0 ms (quartiles 180.0 to 220.0, 15 steps) ratio to independent 1.00"
    assert " ".join(lines[1].split()) == expected
    assert lines[2].endswith("ratio to independent 1.50")


@pytest.mark.parametrize("text", ["", "{}", '{"benchmarks": [{"stats": {}}]}'])
def test_a_file_of_another_layout_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "timing.json").write_text(text)
    with pytest.raises(InputError, match="not a timing file"):
        read_timings(tmp_path / "timing.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_timings(tmp_path / "timing.json")
