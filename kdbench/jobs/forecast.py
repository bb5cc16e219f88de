"""Estimates when an invocation ends: from records and the CPU's speed at first, then from its own pace."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import RecordError
from kdbench.jobs.completeness import needs_evaluation_only
from kdbench.plan.context import RunContext
from kdbench.plan.costs import answers_of, evaluation_cost, occluded_images, training_cost
from kdbench.plan.matrix import PlannedRun
from kdbench.records import OCCLUSION_ON_OBJECT, Record, find_records, read_record
from kdbench.spec import Track, families

LEAST_SHARE = 0.02  # of the work that must be done before an invocation's own pace is believed


@dataclass(frozen=True)
class Rate:
    """Seconds per unit of cost (see `kdbench.plan.costs`), and where they come from, in words."""

    seconds: float
    source: str


def rate_of(runs: Sequence[PlannedRun], context: RunContext) -> Rate | None:
    """Return how fast runs of one track should be: as earlier ones in the results folder, else as the CPU's speed.

    None for no runs, and for the first ones on a GPU.
    """
    if not runs:
        return None
    earlier = [_cost_and_seconds(record, runs[0].track) for record in _comparable_records(context.results, runs[0])]
    if earlier:
        cost, seconds = (sum(numbers) for numbers in zip(*earlier, strict=True))
        return Rate(seconds / cost, "earlier runs")
    if runs[0].device != "cpu":
        return None
    from kdbench.jobs.cpu_time import run_seconds

    counted = run_seconds(runs, diagnostics=context.diagnostics)
    whole = sum(run.cost + _cost_of_diagnostics(run, context) for run in runs)
    return Rate(counted / whole, "the speed of this CPU")


def remaining_cost(run: PlannedRun, context: RunContext) -> float:
    """Return the cost of what is left of a run: of its evaluation alone if it is trained already."""
    if needs_evaluation_only(context, run):
        return evaluation_cost(answers_of(run.track, diagnostics=context.diagnostics), run.family)
    return run.cost + _cost_of_diagnostics(run, context)


def _cost_of_diagnostics(run: PlannedRun, context: RunContext) -> float:
    """Return what the diagnostics add to the cost of a run; 0 without them."""
    without, answers = (answers_of(run.track, diagnostics=wanted) for wanted in (False, context.diagnostics))
    return evaluation_cost(answers - without, run.family)


def _comparable_records(results: Path, run: PlannedRun) -> Iterator[Record]:
    """Yield the records of trained runs of the same track on a device of the same class."""
    device_class = f"{run.device}-{run.track.training.precision_on(run.device)}"
    for folder in find_records(results):
        if folder.parent.name != run.track.name:
            continue
        try:
            record = read_record(folder)
        except RecordError:  # reported where records are scored
            continue
        if record.status == "ok" and record.budget.examples and record.environment.device_class == device_class:
            yield record


def _cost_and_seconds(record: Record, track: Track) -> tuple[float, float]:
    taught = record.direction if record.teacher_run_id else None
    answers = sum(result.images for result in record.test.values())
    if OCCLUSION_ON_OBJECT in record.scalars:
        answers += occluded_images(track)
    seen = record.budget.student_forward_images or record.budget.examples
    trained = training_cost(seen, record.family, families(taught).teacher if taught else None)
    return trained + evaluation_cost(answers, record.family), record.timing.training + record.timing.evaluation


class Forecast:
    """Follows the runs of an invocation and estimates the time left.

    While little is done, the rate decides; then the pace of the invocation so far, on all its workers.

    Args:
        runs: of the invocation.
        workers: number of runs at a time.
        rate: that is expected; None if nothing is known.
        costs: of the runs by id; None for whole runs without diagnostics.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        workers: int,
        rate: Rate | None = None,
        costs: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runs, self.workers, self.rate = runs, workers, rate
        self._clock, self._started = clock, clock()
        self._cost = costs or {run.run_id: run.cost for run in runs}
        self._done: dict[str, float] = {}  # shares of runs
        self._skipped: dict[str, float] = {}  # shares of resumed runs that an earlier invocation did

    def advanced(self, run: PlannedRun, share: float) -> None:
        """Note that a share of a run is done, 0 to 1."""
        self._skipped.setdefault(run.run_id, share)
        self._done[run.run_id] = share

    @property
    def share(self) -> float:
        """The share of all the work that is done, 0 to 1."""
        return self._sum(self._done) / (sum(self._cost.values()) or 1.0)

    def left(self) -> float | None:
        """Return the seconds until all runs are done, None while nothing is known of any."""
        total, done = sum(self._cost.values()), self._sum(self._done)
        own = done - self._sum(self._skipped)
        if own > LEAST_SHARE * total:
            return (self._clock() - self._started) / own * (total - done)
        return self.rate.seconds * (total - done) / self.workers if self.rate else None

    def _sum(self, shares: dict[str, float]) -> float:
        return sum(self._cost[run_id] * share for run_id, share in shares.items())
