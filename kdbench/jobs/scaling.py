"""Measures how the time of the work grows with its size, and writes and prints the table."""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from kdbench.errors import KdbenchError
from kdbench.files import atomic_file
from kdbench.jobs.devices import cores, seeing, visible_gpus
from kdbench.jobs.gpu_room import MOST_RUNS
from kdbench.jobs.hostile_files import plain_line
from kdbench.jobs.invocation import run
from kdbench.jobs.job import MEASUREMENTS, TimingJob
from kdbench.jobs.launcher import ForkLauncher
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.jobs.timing import LIMITS, LONGEST_LINE, finish, left_by_suite, method_files
from kdbench.plan.options import RunOptions
from kdbench.timing.scaling import (
    CARDS,
    METHODS,
    SEEDS,
    WORKERS,
    ScalingAxis,
    ScalingPoint,
    ScalingTable,
    read_scaling,
    scaling_lines,
)
from kdbench.timing.scaling_effort import ScalingEffort

METHOD = "lm"  # whose epochs and steps are timed
FEW_METHODS = ("lm", "crd", "cskd", "vlfkd")  # of one direction, so that each adds runs of its own
ALONE = ("independent",)  # which needs the fewest runs
SIZES = (1, 2, 4)
SMALL_RUN: Mapping[str, Any] = {
    "track": "synthetic",
    "directions": ("cnn-to-vit",),
    "limit_train": 256,
    "limit_test": 20,
    "epochs": 1,
    "diagnostics": False,
}


def run_scaling(out: Path, *, device: str = "auto", print_line: Callable[[str], None]) -> ScalingTable:
    """Measure the scaling table, store it as JSON and print it.

    Args:
        out: JSON file to write.
        device: "auto", "cpu" or "cuda".
        print_line: receives the lines of the table.

    Raises:
        KdbenchError: a measurement failed.
    """
    from kdbench.networks.device import choose_device

    chosen = choose_device(device)
    print_line("Measuring how the time grows with the size of the work. This takes some minutes on an idle machine.")
    measured = scaling_of_steps(chosen, ScalingEffort())
    table = measured.model_copy(update={"axes": (*measured.axes, *run_axes(chosen, seconds_of_run))})
    with atomic_file(out) as file:
        file.write(table.model_dump_json(indent=1).encode())
    for line in scaling_lines(table):
        print_line(plain_line(line)[: 2 * LONGEST_LINE])
    print_line(f"measurements: {out}")
    return table


def scaling_of_steps(device: str, effort: ScalingEffort) -> ScalingTable:
    """Time epochs and steps in a process that is restricted as a training is."""
    gpu = visible_gpus()[0] if device == "cuda" else None
    launcher = ForkLauncher(LIMITS)
    files = method_files((METHOD,), launcher)
    with temporary_folder("kdbench-timing-") as place:
        finish(launcher.time(TimingJob(files, (), device, place, gpu, scaling=effort)))
        content, _ = left_by_suite(place)
        return read_scaling(content, place / MEASUREMENTS)


def run_axes(device: str, measure: Callable[[Mapping[str, Any]], float]) -> tuple[ScalingAxis, ...]:
    """Time small runs of the benchmark, with more and more of one thing.

    Args:
        device: "cpu" or "cuda".
        measure: does a run with these options and returns its seconds.
    """
    given = {**SMALL_RUN, "device": device}
    measure({**given, "methods": FEW_METHODS, "seeds": "0"})  # fills the store of test sets
    four = {**given, "methods": ALONE, "seeds": "0-3"}
    methods = {number: {**given, "methods": FEW_METHODS[:number], "seeds": "0"} for number in SIZES}
    seeds = {number: {**given, "methods": ALONE, "seeds": f"0-{number - 1}"} for number in SIZES}
    most = cores() if device == "cpu" else min(MOST_RUNS, cores())
    workers = {number: {**four, "workers": number} for number in powers_of_two(most)}
    return (
        _axis(METHODS, "a small run of one seed", methods, measure),
        _axis(SEEDS, "a small run without a teacher", seeds, measure),
        _axis(WORKERS, "a small run of four seeds", workers, measure),
        _cards_axis(device, four, measure),
    )


def powers_of_two(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4 and so on, up to `most`."""
    return tuple(2**power for power in range(most.bit_length()))


def _cards_axis(device: str, options: Mapping[str, Any], measure: Callable[[Mapping[str, Any]], float]) -> ScalingAxis:
    """Time a run on more and more cards, with one worker on each."""
    gpus = visible_gpus() if device == "cuda" else ()
    if len(gpus) < 2:
        return ScalingAxis(name=CARDS, work="", reason=f"it needs two GPUs, and {len(gpus)} are used here")

    def on_cards(number: int) -> ScalingPoint:
        with seeing(gpus[:number]):
            return ScalingPoint(size=number, seconds=(measure({**options, "workers": 1}),))

    points = tuple(on_cards(number) for number in powers_of_two(len(gpus)))
    return ScalingAxis(name=CARDS, work="a small run of four seeds, one worker per card", points=points)


def _axis(
    name: str, work: str, options: Mapping[int, Mapping[str, Any]], measure: Callable[[Mapping[str, Any]], float]
) -> ScalingAxis:
    """Time the run of each size once; it takes seconds, and the fit shows how far the times lie from a law."""
    points = [ScalingPoint(size=size, seconds=(measure(chosen),)) for size, chosen in options.items()]
    return ScalingAxis(name=name, work=work, points=tuple(points))


def seconds_of_run(options: Mapping[str, Any]) -> float:
    """Do all runs of an invocation in a folder that is removed, and return the seconds.

    Raises:
        KdbenchError: a run failed.
    """
    with temporary_folder("kdbench-scaling-") as folder:
        started = time.monotonic()
        records = run(RunOptions(**options, out=folder / "runs"), Console(file=io.StringIO())).records
        seconds = time.monotonic() - started
    failed = [record for record in records if record.status != "ok"]
    if failed:
        raise KdbenchError(f"a run of {failed[0].method} for the scaling table failed: {failed[0].reason}")
    return seconds
