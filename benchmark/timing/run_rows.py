"""Checks a real run of `kdbench run`, and extrapolates to whole boards from measured rates."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from benchmark.timing.rows import CheckRow
from kdbench.jobs.invocation import confined_jobs
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import plan
from kdbench.records import Record, find_records, read_record

LONGEST_GAP = 5.0  # seconds from the end of a run to the first step of the next one
GAP, IMAGES_PER_SECOND, EVALUATION = "gap", "run images/s", "run evaluation"
FACTORS = {"sskd": 4.5}  # how much longer a step takes than one of `lm`; about as long for all other methods
MINUTE = 60.0


def run_rows(arguments: Sequence[str], device: str, seconds: float) -> Iterator[CheckRow]:
    """Yield a row for each record of a small run under the default sandbox, and one for the time between runs.

    Args:
        arguments: of `kdbench run`; those for the device and the folders are added.
        device: "cpu" or "cuda".
        seconds: after which the run is ended; what it has finished until then is shown.
    """
    with tempfile.TemporaryDirectory(prefix="kdbench-checks-") as folder:
        places = ("--out", f"{folder}/runs", "--site", f"{folder}/site", "--no-mlflow", "--workers", "1")
        command = [sys.executable, "-m", "kdbench", "run", "--device", device, *arguments, *places]
        if failure := _failure(command, seconds):
            yield CheckRow("kdbench run", failure, good=False)
        yield from rows_of_records([read_record(place) for place in find_records(Path(folder) / "runs")])


def _failure(command: Sequence[str], seconds: float) -> str | None:
    """Run a command and return how it failed, in words; None if it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"it was ended after {seconds:.0f} s, before it was finished"
    lines = done.stderr.strip().splitlines() or ["it printed no error"]
    return f"exit code {done.returncode}: {lines[-1]}" if done.returncode else None


def rows_of_records(records: Sequence[Record]) -> Iterator[CheckRow]:
    """Yield what the records of a run with one worker say."""
    ordered = sorted(records, key=lambda record: record.finished)
    for record in ordered:
        yield CheckRow(f"run of {record.method} {record.family}", _described(record), record.status == "ok")
    if len(ordered) < 2:
        yield CheckRow("time between runs", f"{len(ordered)} records, which are too few", good=False)
        return
    gaps = [_gap(before, record) for before, record in pairwise(ordered)]
    text = ", ".join(f"{gap:.1f}" for gap in gaps)
    yield CheckRow(
        "time between runs",
        f"{text} s without training and evaluation, to whole seconds; the target is {LONGEST_GAP:g}",
        max(gaps) <= LONGEST_GAP,
        _facts(ordered[-1], max(gaps)),
    )


def _described(record: Record) -> str:
    seconds = f"trained for {record.timing.training:.1f} s and was evaluated for {record.timing.evaluation:.1f} s"
    reason = f" ({record.reason})" if record.reason else ""
    return f"{record.status}{reason}, ran {record.execution}, {seconds}, sandbox: {record.environment.sandbox}"


def _gap(before: Record, record: Record) -> float:
    """Return the seconds between two records that were neither training nor evaluation of the second one."""
    between = datetime.fromisoformat(record.finished) - datetime.fromisoformat(before.finished)
    return between.total_seconds() - record.timing.training - record.timing.evaluation


def _facts(record: Record, gap: float) -> dict[str, float]:
    rate = record.budget.examples / record.timing.training if record.timing.training else 0.0
    return {GAP: max(0.0, gap), IMAGES_PER_SECOND: rate, EVALUATION: record.timing.evaluation}


def board_rows(facts: Mapping[str, float]) -> Iterator[CheckRow]:
    """Extrapolate from measured rates to the boards that have targets."""
    synthetic = RunOptions("synthetic", device="cuda", seeds="0-4", controls="basic", yes=True)
    compact = RunOptions("cifar10-32", device="cuda", seeds="0")
    speed_up = min((facts[name] for name in facts if name.endswith("speed-up")), default=1.0)
    yield board_row("synthetic, five seeds with controls", synthetic, facts, facts.get(IMAGES_PER_SECOND), speed_up, 20)
    fastest = min((facts[name] for name in facts if name.endswith("fastest")), default=None)
    yield board_row("cifar10-32, one seed", compact, facts, fastest, speed_up, 12)


def board_row(
    board: str, options: RunOptions, facts: Mapping[str, float], rate: float | None, speed_up: float, target: float
) -> CheckRow:
    """Return the row of a board.

    Args:
        board: its name.
        options: of the runs.
        facts: by name; the time between runs and the seconds of an evaluation.
        rate: images per second of one training of `lm`; None if that was not measured.
        speed_up: of all trainings on the card together, in relation to one.
        target: minutes.
    """
    name = f"{board}, extrapolated"
    if rate is None or GAP not in facts:
        return CheckRow(name, "not measured: a rate or the time between runs is missing", good=False)
    runs = planned_runs(options)
    training = sum(training_seconds(run, rate) for run in runs) / speed_up
    between = len(runs) * (facts[GAP] + facts[EVALUATION])
    minutes = (training + between) / MINUTE
    text = (
        f"{minutes:.1f} min for {len(runs)} runs: {training / MINUTE:.1f} of training at {rate:.0f} images/s times "
        f"{speed_up:.2f}, {between / MINUTE:.1f} between; the target is {target:g}"
    )
    return CheckRow(name, text, minutes <= target)


def planned_runs(options: RunOptions) -> tuple[PlannedRun, ...]:
    """Return all runs of an invocation that has no records yet."""
    with tempfile.TemporaryDirectory(prefix="kdbench-checks-") as folder:
        options = RunOptions(**{**vars(options), "out": Path(folder)})
        _, describe = confined_jobs(options)
        return tuple(plan(options, describe).runs)


def training_seconds(run: PlannedRun, rate: float) -> float:
    """Return the seconds that a run trains, if a step of most methods takes about as long as one of `lm`."""
    factor = FACTORS.get(run.submission.name, 1.0) if run.role == "student" else 1.0
    return factor * run.epochs * run.track.data.num_train / rate
