"""Runs the timing suite in its own process and prints the time of a training step of each method."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from kdbench.errors import InputError, KdbenchError
from kdbench.files import atomic_file
from kdbench.resources import shipped
from kdbench.testsets.spec import load_spec
from kdbench.timing.step_times import StepTime, read_timings, table

SUITE = ("benchmark", "timing")
LIMIT_SECONDS = 3600


def run_timing(
    out: Path,
    *,
    methods: Sequence[str] = (),
    tracks: Sequence[str] = (),
    device: str = "auto",
    print_line: Callable[[str], None],
) -> tuple[StepTime, ...]:
    """Run the timing suite, store its JSON and print the ratios.

    Args:
        out: JSON file to write, in the format of pytest-benchmark.
        methods: names or files; empty for all submissions.
        tracks: names of tracks; empty for all tracks that this machine can run.
        device: "auto", "cpu" or "cuda".
        print_line: receives the lines of the table.

    Raises:
        InputError: pytest-benchmark is not installed, or a method or track is unknown.
        KdbenchError: a step of a method failed. The other times are stored and printed before.
    """
    from kdbench.networks.device import choose_device

    if find_spec("pytest_benchmark") is None:
        raise InputError("kdbench timing needs pytest-benchmark; install it with: pip install 'kdbench[dev]'")
    _check(methods, tracks)
    print_line("Timing a training step of each method. This takes a minute or two; the machine should be idle.")
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "timing.json"
        completed = _run_suite(_suite_command(measured, methods, tracks, choose_device(device)))
        if not measured.is_file() or not measured.stat().st_size:
            raise InputError(f"nothing was timed: {_last_error(completed.stdout + completed.stderr)}")
        with atomic_file(out) as file:
            file.write(_without_host_name(measured.read_bytes()))
    times = read_timings(out).steps
    for line in table(times):
        print_line(line)
    print_line(f"measurements: {out}")
    failed = [line.removeprefix("FAILED ") for line in completed.stdout.splitlines() if line.startswith("FAILED ")]
    if failed:
        raise KdbenchError(f"{len(failed)} steps failed; first: {failed[0].split('::')[-1]}")
    return times


def _check(methods: Sequence[str], tracks: Sequence[str]) -> None:
    """Raise InputError for a method or a track that does not exist."""
    from kdbench.methods.loading import load_submission

    for method in methods:
        load_submission(method)
    for track in tracks:
        load_spec().track(track)


def _without_host_name(measured: bytes) -> bytes:
    """Return pytest-benchmark's JSON without the machine's host name, which a public page must not show."""
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
    # If a pytest process runs this one, it must not inherit the options of that process.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = inherited | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise KdbenchError(f"the timing suite took more than {LIMIT_SECONDS} s; time fewer methods at once") from error


def _last_error(output: str) -> str:
    """Return the last error in pytest's output or, without an error, the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "Error: " in line]
    return (telling or lines or ["pytest printed nothing"])[-1].removeprefix("E ").strip()
