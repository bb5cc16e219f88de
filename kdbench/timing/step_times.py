"""Reads the results of the timing suite, the seconds per training step, and prints them as a table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.spec import INDEPENDENT


@dataclass(frozen=True)
class StepTime:
    """The measured time of one training step.

    Attributes:
        track, direction, method: of the training.
        device: the GPU's name, or "cpu".
        batch_size: images per step.
        median, lower_quartile, upper_quartile: of all rounds, in seconds.
        rounds: number of timed steps, after the warm-up.
        ratio: of the median to that of `independent` on the same track and direction; None if that was not timed.
    """

    track: str
    direction: str
    method: str
    device: str
    batch_size: int
    median: float
    lower_quartile: float
    upper_quartile: float
    rounds: int
    ratio: float | None


@dataclass(frozen=True)
class Timings:
    """The results of the timing suite.

    Attributes:
        machine: on which the suite was run, in words.
        steps: in the order in which they were timed.
    """

    machine: str
    steps: tuple[StepTime, ...]


def read_timings(path: Path) -> Timings:
    """Return the contents of a file that `run_timing` wrote.

    Raises:
        InputError: the file is missing, or is not a timing file.
    """
    try:
        measured = json.loads(path.read_bytes())
        steps = [_step_time(entry["extra_info"], entry["stats"]) for entry in measured["benchmarks"]]
        return Timings(_machine(measured.get("machine_info") or {}), with_ratios(steps))
    except OSError as error:
        raise InputError(
            f"timing file {path} cannot be read: {error.strerror}; make it with `kdbench timing`"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise InputError(f"{path} is not a timing file; make one with `kdbench timing`") from error


def _machine(info: Mapping[str, Any]) -> str:
    cpu = (info.get("cpu") or {}).get("brand_raw")
    python = info.get("python_version") and f"Python {info['python_version']}"
    return ", ".join(str(part) for part in (cpu, info.get("system"), info.get("machine"), python) if part)


def _step_time(case: Mapping[str, str | int], stats: Mapping[str, float]) -> StepTime:
    return StepTime(
        track=str(case["track"]),
        direction=str(case["direction"]),
        method=str(case["method"]),
        device=str(case["device"]),
        batch_size=int(case["batch_size"]),
        median=_seconds(stats["median"]),
        lower_quartile=_seconds(stats["q1"]),
        upper_quartile=_seconds(stats["q3"]),
        rounds=int(stats["rounds"]),
        ratio=None,
    )


def _seconds(value: float) -> float:
    """Return a time; ValueError if the number is not a time."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{value} is not a time in seconds")
    return float(value)


def with_ratios(times: Sequence[StepTime]) -> tuple[StepTime, ...]:
    """Return the times with their ratios to that of `independent`."""
    independent = {
        (time.track, time.direction, time.device): time.median for time in times if time.method == INDEPENDENT
    }
    return tuple(_with_ratio(time, independent.get((time.track, time.direction, time.device))) for time in times)


def _with_ratio(time: StepTime, independent: float | None) -> StepTime:
    return replace(time, ratio=time.median / independent if independent else None)


def table(times: Sequence[StepTime]) -> list[str]:
    """Return lines for a terminal, one per step, grouped by track and direction."""
    lines = []
    groups = dict.fromkeys((time.track, time.direction) for time in times)
    for track, direction in groups:
        members = [time for time in times if (time.track, time.direction) == (track, direction)]
        lines.append(f"{track} {direction}, batches of {members[0].batch_size}, {members[0].device}")
        lines += [_row(time) for time in sorted(members, key=lambda time: time.median)]
    return lines


def _row(time: StepTime) -> str:
    spread = f"{1000 * time.lower_quartile:.1f} to {1000 * time.upper_quartile:.1f}"
    ratio = "no independent student to compare with" if time.ratio is None else f"ratio to independent {time.ratio:.2f}"
    return f"  {time.method:14s} {1000 * time.median:8.1f} ms (quartiles {spread}, {time.rounds} steps)  {ratio}"
