"""Reads the results of the timing suite, the seconds per training step, and prints them as a table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.spec import INDEPENDENT
from kdbench.timing.medians import MedianInterval, median_interval, paired_ratio, quotient


@dataclass(frozen=True)
class StepTime:
    """The measured time of one training step.

    Attributes:
        track, direction, method: of the training.
        device: the GPU's name, or "cpu".
        batch_size: images per step.
        rounds: number of timed steps, after the warm-up.
        seconds: of a step; the interval is about the time of the measurement only.
        bare_steps: the ratio of a step to the bare step of plain PyTorch that was timed right before it.
        ratio: of `bare_steps` to that of `independent` on the same track and direction; None if that was not timed.
    """

    track: str
    direction: str
    method: str
    device: str
    batch_size: int
    rounds: int
    seconds: MedianInterval
    bare_steps: MedianInterval
    ratio: MedianInterval | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """What the steps have in common that can be compared with each other."""
        return self.track, self.direction, self.device


@dataclass(frozen=True)
class Timings:
    """The results of the timing suite.

    Attributes:
        machine: on which the suite was run, in words.
        torch: version of PyTorch.
        steps: in the order in which they were timed.
    """

    machine: str
    torch: str
    steps: tuple[StepTime, ...]


def read_timings(path: Path) -> Timings:
    """Return the contents of a file that `run_timing` wrote.

    Raises:
        InputError: the file is missing, or is not a timing file.
    """
    try:
        measured = json.loads(path.read_bytes())
        entries = measured["benchmarks"]
        steps = [_step_time(entry["extra_info"], entry["stats"]) for entry in entries]
        (torch,) = {str(entry["extra_info"]["torch"]) for entry in entries}
        return Timings(_machine(measured.get("machine_info") or {}), torch, with_ratios(steps))
    except OSError as error:
        raise InputError(
            f"timing file {path} cannot be read: {error.strerror}; make it with `kdbench timing`"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError) as error:
        raise InputError(f"{path} is not a timing file; make one with `kdbench timing`") from error


def _machine(info: Mapping[str, Any]) -> str:
    cpu = (info.get("cpu") or {}).get("brand_raw")
    python = info.get("python_version") and f"Python {info['python_version']}"
    cores = (info.get("cpu") or {}).get("count")
    parts = (cpu, cores and f"{cores} cores", info.get("system"), info.get("machine"), python)
    return ", ".join(str(part) for part in parts if part)


def _step_time(case: Mapping[str, Any], stats: Mapping[str, Any]) -> StepTime:
    times, bare_times = ([_seconds(value) for value in values] for values in (stats["data"], case["bare_seconds"]))
    return StepTime(
        track=str(case["track"]),
        direction=str(case["direction"]),
        method=str(case["method"]),
        device=str(case["device"]),
        batch_size=int(case["batch_size"]),
        rounds=len(times),
        seconds=median_interval(times),
        bare_steps=paired_ratio(times, bare_times),
    )


def _seconds(value: float) -> float:
    """Return a time; ValueError if the number is not a time."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{value} is not a time in seconds")
    return float(value)


def with_ratios(times: Sequence[StepTime]) -> tuple[StepTime, ...]:
    """Return the times with their ratios to that of `independent`."""
    independent = {time.place: time for time in times if time.method == INDEPENDENT}
    return tuple(_with_ratio(time, independent.get(time.place)) for time in times)


def _with_ratio(time: StepTime, independent: StepTime | None) -> StepTime:
    if independent is None:
        return time
    if time is independent:
        return replace(time, ratio=MedianInterval(1.0, 1.0, 1.0))
    return replace(time, ratio=quotient(time.bare_steps, independent.bare_steps))


def table(times: Sequence[StepTime]) -> list[str]:
    """Return lines for a terminal, one per step, grouped by track and direction."""
    lines = []
    groups = dict.fromkeys((time.track, time.direction) for time in times)
    for track, direction in groups:
        members = [time for time in times if (time.track, time.direction) == (track, direction)]
        lines.append(f"{track} {direction}, batches of {members[0].batch_size}, {members[0].device}")
        lines += [_row(time) for time in sorted(members, key=lambda time: time.bare_steps.median)]
    return lines


def _row(time: StepTime) -> str:
    spread = f"{1000 * time.seconds.low:.1f} to {1000 * time.seconds.high:.1f}, {time.rounds} rounds"
    bare = f"{in_words(time.bare_steps)} bare steps"
    ratio = "no independent student to compare with" if time.ratio is None else f"{in_words(time.ratio)} x independent"
    return f"  {time.method:14s} {1000 * time.seconds.median:8.1f} ms ({spread})  {bare}  {ratio}"


def in_words(ratio: MedianInterval) -> str:
    """Return a ratio and its interval for a sentence."""
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
