"""One invocation of `kdbench run`: does the runs of a plan that have no record yet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from kdbench.errors import InputError
from kdbench.jobs.completeness import existing_record, forget_training, is_complete, needs_evaluation_only
from kdbench.jobs.describer import ConfinedDescriber
from kdbench.jobs.devices import cores, visible_gpus
from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.forecast import Forecast, rate_of, remaining_cost
from kdbench.jobs.gpu_room import runs_on_cpu, runs_per_gpu
from kdbench.jobs.launcher import ForkLauncher, Limits
from kdbench.jobs.lock import sole_user
from kdbench.jobs.opening import open_test_sets
from kdbench.jobs.progress import RunProgress, print_unofficial, roughly
from kdbench.jobs.restoring import restore_teachers, teachers_without_weights
from kdbench.plan.context import RunContext
from kdbench.plan.current import write_current
from kdbench.plan.matrix import PlannedRun, described
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import Plan, plan
from kdbench.records import Record
from kdbench.testsets.gallery import GALLERY, write_gallery
from kdbench.testsets.spec import load_spec


@dataclass(frozen=True)
class Progressed:
    """How far a plan is when an invocation ends.

    Attributes:
        records: of all runs that are done, old and new ones.
        left: number of runs that are not, because the time of the invocation was up.
        seconds_left: that these should take; None while that is unknown.
        workers: number of runs at a time.
    """

    records: tuple[Record, ...]
    left: int = 0
    seconds_left: float | None = None
    workers: int = 1

    def __str__(self) -> str:
        about = "" if self.seconds_left is None else f" (about {roughly(self.seconds_left)}, {self.workers} at a time)"
        failures = sum(record.status != "ok" for record in self.records)
        failed = f", {failures} of which failed" if failures else ""
        return (
            f"the time is up: {len(self.records)} of {len(self.records) + self.left} runs are done{failed}, and "
            f"{self.left} are left{about}; the same command goes on with them"
        )


def run(options: RunOptions, console: Console) -> Progressed:
    """Do all runs that have no record yet, or as many as the time of the options allows.

    Args:
        options: what to run.
        console: receives the plan and the progress.

    Returns:
        The records of the plan, and what is left of it.

    Raises:
        InputError: an option is wrong, or something that the runs need is missing.
    """
    from kdbench.networks.models import check_weights

    launcher, describe = confined_jobs(options)
    planned = plan(options, describe)
    if planned.track.data.resize is not None and planned.device == "cpu" and not options.cpu_confirmed:
        raise InputError(_cpu_refusal(planned, options))
    check_weights(planned.track, options.weights_dir)
    with sole_user(planned.context.results):
        progressed = _complete(planned, options, launcher, console)
        write_current(planned.context.results, load_spec(options.spec))
    return progressed


def confined_jobs(options: RunOptions) -> tuple[ForkLauncher, ConfinedDescriber]:
    """Return what starts the jobs of an invocation, and what describes its method files."""
    launcher = ForkLauncher(Limits(options.time_limit, int(options.memory_limit * 2**30)))
    return launcher, ConfinedDescriber(launcher, options.workers or cores(), sandbox=options.sandbox)


def _cpu_refusal(planned: Plan, options: RunOptions) -> str:
    """Return what runs that need a GPU would take without one."""
    from kdbench.jobs.cpu_time import building_seconds, run_seconds

    track, workers = planned.track, options.workers or cores()
    runs = roughly(run_seconds(planned.runs, diagnostics=planned.context.diagnostics) / workers)
    return (
        f"track {track.name!r} needs a GPU: its {len(planned.runs)} runs would take this CPU about {runs}, {workers} "
        f"at a time, and building its test sets up to {roughly(building_seconds(track.test_sets, track))}; to run it "
        "on this CPU nevertheless, give --device cpu --yes"
    )


def _complete(planned: Plan, options: RunOptions, launcher: ForkLauncher, console: Console) -> Progressed:
    """Return the records of a plan, after doing the runs that have none."""
    done = _kept_records(planned, options.retry_failed)
    for run in planned.runs:
        if run.run_id in done:
            forget_training(planned.context, run, done[run.run_id])
    missing = [run for run in planned.runs if run.run_id not in done]
    gpus = visible_gpus() if planned.device == "cuda" else ()
    each = _runs_at_a_time(planned, options, launcher, gpus) if missing else options.workers or 1
    workers = each * max(1, len(gpus))
    costs = {run.run_id: remaining_cost(run, planned.context) for run in missing}
    forecast = Forecast(missing, workers, rate_of(missing, planned.context), costs)
    _print_plan(planned, missing, forecast, console)
    if missing or not (planned.context.results / planned.track.name / GALLERY).exists():
        _, arrays = open_test_sets(planned.track, options, console)
        write_gallery(planned.context.results, planned.track, arrays)
    if missing:
        executor = LocalExecutor(launcher, each, gpus)
        _restore_teachers(planned, missing, executor, workers, console)
        done |= {record.run_id: record for record in execute_runs(planned, missing, executor, forecast, console)}
    records = tuple(done[run.run_id] for run in planned.runs if run.run_id in done)
    reasons = (reason for record in records for reason in record.unofficial)
    print_unofficial((reason for reason in reasons if reason not in planned.unofficial), console)
    left = len(planned.runs) - len(records)
    return Progressed(records, left, forecast.left() if left else None, workers)


def _restore_teachers(
    planned: Plan, missing: Sequence[PlannedRun], executor: LocalExecutor, workers: int, console: Console
) -> None:
    """Give weights to the teachers of runs that have a record but none."""

    def execute(runs: Sequence[PlannedRun], context: RunContext) -> None:
        forecast = Forecast(runs, workers, rate_of(runs, context))
        execute_runs(replace(planned, context=context), runs, executor, forecast, console)

    if teachers := teachers_without_weights(planned.context, missing):
        restore_teachers(planned.context, teachers, execute, console)


def _kept_records(planned: Plan, retry_failed: bool) -> dict[str, Record]:
    """Return the records of the runs that are neither to be run nor to be evaluated once more, by run id."""
    kept: dict[str, Record] = {}
    coming: set[str] = set()
    for run in planned.runs:  # teachers before the students that are compared with them
        record = existing_record(planned.context, run)
        is_kept = record is not None and not (retry_failed and record.status != "ok")
        if record and is_kept and is_complete(planned.context, run, record, coming=coming):
            kept[run.run_id] = record
        else:
            coming.add(run.run_id)
    return kept


def _print_plan(planned: Plan, missing: Sequence[PlannedRun], forecast: Forecast, console: Console) -> None:
    done = len(planned.runs) - len(missing)
    trained = sum(needs_evaluation_only(planned.context, run) for run in missing)
    again = f" ({trained} of them only to be evaluated, since they are trained already)" if trained else ""
    left, estimate = forecast.left(), ""
    if forecast.rate and left is not None:
        estimate = f"; about {roughly(left)} with {forecast.workers} at a time, estimated from {forecast.rate.source}"
    counts = f"{described(planned.runs)}, {done} done already, {len(missing)} to run{again}"
    console.print(f"{planned.track.name}: {counts}{estimate}.", highlight=False)
    console.print(f"Questions: {', '.join(planned.questions)}.", highlight=False)
    console.print(f"Device: {planned.device}.", highlight=False)
    for note in planned.notes:
        console.print(note, highlight=False)
    print_unofficial(planned.unofficial, console)


def _runs_at_a_time(planned: Plan, options: RunOptions, launcher: ForkLauncher, gpus: Sequence[str]) -> int:
    """Return how many runs each GPU gets at a time, or the CPU; InputError if more are wanted than fit."""
    if planned.device != "cuda":
        return runs_on_cpu(cores(), options.workers)
    if options.workers == 1:
        return 1
    return runs_per_gpu([launcher.measure_room(planned.track, gpu) for gpu in gpus], cores(), options.workers)


def execute_runs(
    planned: Plan, runs: Sequence[PlannedRun], executor: LocalExecutor, forecast: Forecast, console: Console
) -> list[Record]:
    """Train and evaluate some runs of a plan, with a progress bar, and return their records."""
    with RunProgress(console, forecast) as progress:
        return executor.execute(runs, planned.context, progress)
