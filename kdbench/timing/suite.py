"""Times a training step of each method in a process of its own, and compares it with independent's."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, KdbenchError
from kdbench.files import atomic_file
from kdbench.resources import shipped
from kdbench.spec import INDEPENDENT
from kdbench.testsets.spec import load_spec

SUITE = ("benchmark", "timing")
LIMIT_SECONDS = 3600


@dataclass(frozen=True)
class StepTime:
    """Seconds that one training step took.

    Attributes:
        track, direction, method: what was timed.
        device: the GPU's name, or "cpu".
        batch_size: images a step.
        median, lower_quartile, upper_quartile: seconds over the rounds.
        rounds: how many steps were timed, after warming up.
        ratio: median over that of `independent` in the same track and direction; None without it.
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
    """The timing suite's result, and the machine it was made on in words."""

    machine: str
    steps: tuple[StepTime, ...]


def run_timing(
    out: Path,
    *,
    methods: Sequence[str] = (),
    tracks: Sequence[str] = (),
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> tuple[StepTime, ...]:
    """Runs the timing suite, stores its JSON and says the ratios.

    Args:
        out: JSON file to write, as pytest-benchmark lays it out.
        methods: names or files; all submissions by default.
        tracks: tracks of the spec; all that fit the machine by default.
        device: "auto", "cpu" or "cuda".
        say: receives the lines of the table.

    Raises:
        InputError: pytest-benchmark is not installed, or a method or track is unknown.
        KdbenchError: a method's step failed. What could be timed is stored and said before.
    """
    from kdbench.networks.device import choose_device

    if find_spec("pytest_benchmark") is None:
        raise InputError("kdbench timing needs pytest-benchmark; install it with: pip install 'kdbench[dev]'")
    _check(methods, tracks)
    say("Timing a training step of each method (a minute or two; best on an idle machine)")
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "timing.json"
        done = _run_suite(_suite_command(measured, methods, tracks, choose_device(device)))
        if not measured.is_file() or not measured.stat().st_size:
            raise InputError(f"nothing was timed: {_last_error(done.stdout + done.stderr)}")
        with atomic_file(out) as file:
            file.write(_without_host_name(measured.read_bytes()))
    times = read_timings(out).steps
    for line in table(times):
        say(line)
    say(f"measurements: {out}")
    failed = [line.removeprefix("FAILED ") for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if failed:
        raise KdbenchError(f"{len(failed)} steps failed; first: {failed[0].split('::')[-1]}")
    return times


def _check(methods: Sequence[str], tracks: Sequence[str]) -> None:
    """InputError for a method or a track that there is not."""
    from kdbench.methods.loading import load_submission

    for method in methods:
        load_submission(method)
    for track in tracks:
        load_spec().track(track)


def _without_host_name(measured: bytes) -> bytes:
    """pytest-benchmark's JSON less the name of the machine, which is nobody's business on a page."""
    result = json.loads(measured)
    result.get("machine_info", {}).pop("node", None)
    return json.dumps(result, indent=1).encode()


def _suite_command(measured: Path, methods: Sequence[str], tracks: Sequence[str], device: str) -> list[str]:
    suite = shipped(*SUITE)
    quiet = ("-q", "-rf", "--tb=line", "--benchmark-quiet", "-p", "no:cacheprovider")
    isolated = ("-c", os.devnull, "--rootdir", str(suite), "--import-mode=importlib")
    chosen = (f"--methods={','.join(methods)}", f"--tracks={','.join(tracks)}", f"--device={device}")
    return [sys.executable, "-m", "pytest", str(suite), *isolated, *quiet, *chosen, f"--benchmark-json={measured}"]


def _run_suite(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # of a pytest around it
    environment = own | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise KdbenchError(f"the timing suite took more than {LIMIT_SECONDS} s; time fewer methods at once") from error


def _last_error(output: str) -> str:
    """The line of pytest's output that says most: the first error, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "Error: " in line]
    return (telling or lines or ["pytest printed nothing"])[-1].removeprefix("E ").strip()


def read_timings(path: Path) -> Timings:
    """What `run_timing` wrote; InputError if the file is missing or of another layout."""
    try:
        measured = json.loads(path.read_bytes())
        steps = [_step_time(one["extra_info"], one["stats"]) for one in measured["benchmarks"]]
        return Timings(_machine(measured.get("machine_info") or {}), with_ratios(steps))
    except OSError as error:
        raise InputError(
            f"timing file {path} cannot be read: {error.strerror}; make it with `kdbench timing`"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a timing file; make one with `kdbench timing`") from error


def _machine(info: Mapping[str, Any]) -> str:
    processor = (info.get("cpu") or {}).get("brand_raw")
    python = info.get("python_version") and f"Python {info['python_version']}"
    return ", ".join(str(part) for part in (processor, info.get("system"), info.get("machine"), python) if part)


def _step_time(what: Mapping[str, str | int], stats: Mapping[str, float]) -> StepTime:
    return StepTime(
        track=str(what["track"]),
        direction=str(what["direction"]),
        method=str(what["method"]),
        device=str(what["device"]),
        batch_size=int(what["batch_size"]),
        median=stats["median"],
        lower_quartile=stats["q1"],
        upper_quartile=stats["q3"],
        rounds=int(stats["rounds"]),
        ratio=None,
    )


def with_ratios(times: Sequence[StepTime]) -> tuple[StepTime, ...]:
    """The same times with their ratios to independent's."""
    zero = {(one.track, one.direction, one.device): one.median for one in times if one.method == INDEPENDENT}
    return tuple(_with_ratio(one, zero.get((one.track, one.direction, one.device))) for one in times)


def _with_ratio(one: StepTime, independent: float | None) -> StepTime:
    return replace(one, ratio=one.median / independent if independent else None)


def table(times: Sequence[StepTime]) -> list[str]:
    """Lines for a terminal, one a step, grouped by track and direction."""
    lines = []
    groups = dict.fromkeys((one.track, one.direction) for one in times)
    for track, direction in groups:
        members = [one for one in times if (one.track, one.direction) == (track, direction)]
        lines.append(f"{track} {direction}, batches of {members[0].batch_size}, {members[0].device}")
        lines += [_row(one) for one in sorted(members, key=lambda one: one.median)]
    return lines


def _row(one: StepTime) -> str:
    spread = f"{1000 * one.lower_quartile:.1f} to {1000 * one.upper_quartile:.1f}"
    ratio = "no independent to compare with" if one.ratio is None else f"{one.ratio:.2f} x independent"
    return f"  {one.method:14s} {1000 * one.median:8.1f} ms (quartiles {spread}, {one.rounds} steps)  {ratio}"
