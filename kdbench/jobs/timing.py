"""Runs the timing suite: a training step of each method, in a process that is started as a training is."""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from kdbench.errors import InputError, KdbenchError, plain_text
from kdbench.files import atomic_file
from kdbench.jobs.describer import ConfinedDescriber
from kdbench.jobs.devices import cores, visible_gpus
from kdbench.jobs.hostile_files import Refused, plain_line, read_regular_file
from kdbench.jobs.job import MEASUREMENTS, TimingJob
from kdbench.jobs.launcher import ForkHandle, ForkLauncher, Limits
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.inquiries import Inquiry
from kdbench.records import LOG
from kdbench.testsets.spec import load_spec
from kdbench.timing.comparison import compare
from kdbench.timing.step_times import Timings, read_timings, table

LIMITS = Limits(seconds=3600, memory_bytes=64 * 2**30)
MOST_BYTES = 4 * 2**20
LONGEST_LINE = 300  # characters of what the suite printed, in a message
_LIMIT_CHECK_SECONDS = 0.5


def run_timing(
    out: Path,
    *,
    methods: Sequence[str] = (),
    tracks: Sequence[str] = (),
    device: str = "auto",
    stored: Path | None = None,
    print_line: Callable[[str], None],
) -> tuple[str, ...]:
    """Run the timing suite, store its JSON, print the ratios and compare them with an earlier measurement.

    Args:
        out: JSON file to write, in the format of pytest-benchmark.
        methods: names or files; empty for all submissions.
        tracks: names of tracks; empty for all tracks that this machine can run.
        device: "auto", "cpu" or "cuda".
        stored: JSON file of an earlier measurement to compare with, which may be `out`.
        print_line: receives the lines of the table and of the comparison.

    Returns:
        A sentence for each step that got slower.

    Raises:
        InputError: pytest-benchmark is not installed, a method or track is unknown, or the earlier measurement cannot
            be read or has none of the steps.
        KdbenchError: a step of a method failed. The other times are stored and printed before.
    """
    from kdbench.networks.device import choose_device

    if find_spec("pytest_benchmark") is None:
        raise InputError("kdbench timing needs pytest-benchmark; install it with: pip install 'kdbench[dev]'")
    for track in tracks:
        load_spec().track(track)
    before = read_timings(stored) if stored is not None else None
    launcher, chosen = ForkLauncher(LIMITS), choose_device(device)
    files = method_files(methods or list_submissions(), launcher)
    gpu = visible_gpus()[0] if chosen == "cuda" else None
    print_line("Timing a training step of each method. This takes a minute or two; the machine should be idle.")
    with temporary_folder("kdbench-timing-") as place:
        finish(launcher.time(TimingJob(files, tuple(tracks), chosen, place, gpu)))
        measured, failed = _taken_in(place)
    with atomic_file(out) as file:
        file.write(json.dumps(measured, indent=1).encode())
    timings = read_timings(out)
    for line in table(timings.steps):
        print_line(plain_line(line)[:LONGEST_LINE])
    print_line(f"measurements: {out}")
    slower = _compared(timings, before, stored, print_line) if before is not None and stored is not None else ()
    if failed:
        raise KdbenchError(f"{len(failed)} steps failed; first: {failed[0].split('::')[-1]}")
    return slower


def _compared(new: Timings, before: Timings, stored: Path, print_line: Callable[[str], None]) -> tuple[str, ...]:
    """Print how a measurement compares with an earlier one, and return the sentences about steps that got slower."""
    comparison = compare(new, before, stored)
    for line in (*comparison.slower, *comparison.notes):
        print_line(plain_line(line)[:LONGEST_LINE])
    return comparison.slower


def method_files(names: Sequence[str], launcher: ForkLauncher) -> tuple[tuple[str, bytes], ...]:
    """Return the names and bytes of method files, all of which keep the contract."""
    files = [read_method_file(submission_path(name)) for name in names]
    ConfinedDescriber(launcher, cores())([Inquiry(file.path, file.source) for file in files])
    return tuple((file.path.name, file.source) for file in files)


def finish(handle: ForkHandle[TimingJob]) -> None:
    """Wait for the end of the suite; end it, and raise KdbenchError, if it goes over a limit."""
    try:
        while handle.poll() is None:
            wait([handle.sentinel], _LIMIT_CHECK_SECONDS)
            if handle.poll() is None and (over := handle.over_limit()) is not None:
                raise KdbenchError(f"the timing suite {over[1]}; time fewer methods at once")
    finally:
        handle.kill()


def _taken_in(place: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the measurements that the suite left, and the tests in it that failed, as an adversary may have left them.

    Raises:
        InputError: there are no measurements.
    """
    content, lines = left_by_suite(place)
    try:
        measured = json.loads(content)
        measured.get("machine_info", {}).pop("node", None)  # the host name, which a public page must not show
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"nothing was timed: the timing suite left {MEASUREMENTS}, which it did not write") from error
    return measured, [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]


def left_by_suite(place: Path) -> tuple[bytes, list[str]]:
    """Return the file of measurements in the folder of a finished suite, and the lines of its log.

    Raises:
        InputError: there are no measurements.
    """
    try:
        content = read_regular_file(place / MEASUREMENTS, MOST_BYTES, left_by="the timing suite")
        log = read_regular_file(place / LOG, MOST_BYTES, left_by="the timing suite") or b""
    except Refused as error:
        raise InputError(f"nothing was timed: {error}") from error
    lines = [line.strip() for line in log.decode(errors="replace").splitlines() if line.strip()]
    if not content:
        raise InputError(f"nothing was timed: {_last_error(lines)}")
    return content, lines


def _last_error(lines: Sequence[str]) -> str:
    """Return the last error in pytest's output or, without an error, the last line."""
    telling = [line for line in lines if "Error: " in line]
    return plain_text(
        (telling or lines or ["the timing suite printed nothing"])[-1].removeprefix("E ").strip(), LONGEST_LINE
    )
