"""How long the rest of an invocation will take: from what it has done so far, steps of running jobs included, and from
earlier records or, without any, from a total that was counted."""

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Final, Literal

from kdbench.errors import RecordError
from kdbench.jobs.executor import Setting
from kdbench.jobs.job import Job
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Record, find_records, read_record
from kdbench.spec import Family, families

Phase = Literal["train", "evaluate"]
Kind = tuple[Family, Family | None, str]
Work = tuple[Kind, Phase]

PHASES: Final[tuple[Phase, ...]] = ("train", "evaluate")
USUAL_SHARE: Final[Mapping[Phase, float]] = {"train": 0.85, "evaluate": 0.15}  # of a run's cost
FEWEST_STEPS = 3  # that a running job must have reported after its first before its pace is believed


def kind_of(run: PlannedRun) -> Kind:
    """What runs of one invocation that take equally long have in common: family, teacher's family, method."""
    return run.family, run.teacher.family if run.teacher else None, run.submission.name


def _kind_of_record(record: Record) -> Kind:
    taught = record.direction is not None and record.teacher_run_id is not None
    return record.family, families(record.direction).teacher if taught and record.direction else None, record.method


def earlier_seconds(results: Path, runs: Sequence[PlannedRun]) -> dict[Work, float]:
    """Seconds that work of each kind in `runs` should take by the records of the same track and device class.

    Args:
        results: folder of records; those that cannot be read are left out.
        runs: of one track and device.

    Returns:
        By kind and phase; empty without such records. Training is scaled by the number of images drawn.
    """
    if not runs:
        return {}
    by_kind: dict[Kind, list[Record]] = defaultdict(list)
    for record in _comparable_records(results, runs[0]):
        by_kind[_kind_of_record(record)].append(record)
    seconds: dict[Work, float] = {}
    for run in {kind_of(run): run for run in runs}.values():
        if records := by_kind[kind_of(run)]:
            an_image = sum(one.timing.training for one in records) / sum(one.budget.examples for one in records)
            seconds[kind_of(run), "train"] = an_image * run.epochs * run.track.data.num_train
            seconds[kind_of(run), "evaluate"] = fmean(one.timing.evaluation for one in records)
    return seconds


def seconds_a_cost(ended: Iterable[tuple[PlannedRun, Record]]) -> float | None:
    """Seconds that a unit of `PlannedRun.cost` took in runs that went well; None without any."""
    well = [(run, record.timing) for run, record in ended if record.status == "ok" and record.budget.examples]
    cost = sum(run.cost for run, _ in well)
    return sum(timing.training + timing.evaluation for _, timing in well) / cost if cost else None


def shared_out(total: float, runs: Sequence[PlannedRun]) -> dict[Work, float]:
    """Seconds of work of each kind if `runs`, at least one, take `total` seconds one after the other, by their cost."""
    a_cost = total / sum(run.cost for run in runs)
    return {work: a_cost * cost for work, cost in _usual(runs).items()}


def _usual(runs: Iterable[PlannedRun]) -> dict[Work, float]:
    """Cost of work of each kind, as far as that is known beforehand."""
    return {(kind_of(run), phase): run.cost * USUAL_SHARE[phase] for run in runs for phase in PHASES}


def _comparable_records(results: Path, run: PlannedRun) -> Iterable[Record]:
    precision = run.track.training.precision_on(run.device)
    for folder in find_records(results):
        if folder.parent.name != run.track.name:
            continue
        try:
            record = read_record(folder)
        except RecordError:  # said where records are scored
            continue
        same_device = record.environment.device_class == f"{run.device}-{precision}"
        if record.status == "ok" and record.budget.examples and same_device:
            yield record


@dataclass
class _Running:
    """A job under way. `first` and `last` are (moment, steps done) of its first and its newest report."""

    job: Job
    started: float
    total: int = 0
    first: tuple[float, int] | None = None
    last: tuple[float, int] | None = None

    @property
    def work(self) -> Work:
        return kind_of(self.job.run), self.job.kind

    def told(self, moment: float, done: int, total: int) -> None:
        self.first = self.first or (moment, done)
        self.last, self.total = (moment, done), total

    def seconds(self) -> float | None:
        """How long the whole job takes at its own pace, if it has been at it for long enough to tell. What a resumed
        job found done counts as if it had done it."""
        if self.first is None or self.last is None or self.last[1] - self.first[1] < FEWEST_STEPS:
            return None
        (begun, skipped), (moment, done) = self.first, self.last
        after_first = self.total - min(1, skipped)
        return begun - self.started + (moment - begun) / (done - skipped) * after_first

    def left(self, now: float, expected: float) -> float:
        """Seconds to the end of this job: at its own pace, else as `expected` for the whole of it."""
        own = self.seconds()
        if own is None or self.first is None or self.last is None:
            return max(0.0, expected - (now - self.started))
        a_step = (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])
        return max(0.0, a_step * (self.total - self.last[1]) - (now - self.last[0]))


@dataclass
class Forecast:
    """Follows an invocation and tells how long it will take yet.

    Work that was done in this invocation counts as it was measured; a running job at its own pace; work of which there
    are only earlier records as those, corrected by how much faster or slower this invocation is than they were; all
    else in proportion to `PlannedRun.cost`.

    Attributes:
        runs: all that have to be done.
        workers: jobs at a time.
        earlier: see `earlier_seconds` and `shared_out`.
        judged_by: what `earlier` comes from, in words.
        clock: in seconds.
    """

    runs: Sequence[PlannedRun]
    workers: int
    earlier: Mapping[Work, float]
    judged_by: str = "earlier runs"
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, _Running] = field(default_factory=dict)
    _ended: dict[Work, list[float]] = field(default_factory=lambda: defaultdict(list))
    _over: set[str] = field(default_factory=set)

    def started(self, job: Job) -> None:
        self._end(job.run)
        self._running[job.run.run_id] = _Running(job, self.clock())

    def advanced(self, job: Job, done: int, total: int) -> None:
        self._running[job.run.run_id].told(self.clock(), done, total)

    def finished(self, run: PlannedRun) -> None:
        self._end(run)
        self._over.add(run.run_id)

    def _end(self, run: PlannedRun) -> None:
        before = self._running.pop(run.run_id, None)
        if before and (seconds := before.seconds()) is not None:
            self._ended[before.work].append(seconds)

    def left(self) -> float | None:
        """Seconds until all runs are done; None while nothing is known of any."""
        expected = self._expected()
        if expected is None:
            return None
        now = self.clock()
        busy = []
        for one in self._running.values():
            kind, phase = one.work
            after = expected[kind, "evaluate"] if phase == "train" else 0.0
            busy.append((one.left(now, expected[kind, phase]) + after, one.job.run.run_id))
        started = {*self._running, *self._over}
        waiting = {run.run_id: run for run in self.runs if run.run_id not in started}
        whole = {key: sum(expected[kind_of(run), phase] for phase in PHASES) for key, run in waiting.items()}
        return _end_of_schedule(busy, waiting, whole, self.workers)

    def _expected(self) -> dict[Work, float] | None:
        """Seconds of all work; None if nothing is known of any."""
        usual = _usual(self.runs)
        seen = self._seen()
        both = self.earlier.keys() & seen.keys()
        pace = _ratio(seen, self.earlier, both)
        known = {work: seconds * pace for work, seconds in self.earlier.items()} | seen
        if not known:
            return None
        like = {phase: [work for work in known if work[1] == phase] or list(known) for phase in PHASES}
        scale = {phase: _ratio(known, usual, works) for phase, works in like.items()}
        return {work: known.get(work, cost * scale[work[1]]) for work, cost in usual.items()}

    def _seen(self) -> dict[Work, float]:
        """Mean seconds of work in this invocation: what has ended, else what is running and can be told."""
        projected: dict[Work, list[float]] = defaultdict(list)
        for one in self._running.values():
            if (seconds := one.seconds()) is not None:
                projected[one.work].append(seconds)
        return {work: fmean(seconds) for work, seconds in (projected | self._ended).items()}


def _ratio(above: Mapping[Work, float], below: Mapping[Work, float], works: Iterable[Work]) -> float:
    """Total of some work by one measure over that by another; 1 if there is none of it."""
    works = list(works)
    total = sum(below[work] for work in works)
    return sum(above[work] for work in works) / total if total else 1.0


def _end_of_schedule(
    busy: Iterable[tuple[float, str]], waiting: Mapping[str, PlannedRun], seconds: Mapping[str, float], workers: int
) -> float:
    """When the last run ends if costly runs start first, each as soon as a worker is free and its teacher is done.

    Args:
        busy: seconds left and id of the runs under way.
        waiting: the others, by id.
        seconds: that each of these takes.
        workers: runs at a time.
    """
    ends, now = list(busy), 0.0
    heapq.heapify(ends)
    ordered = sorted(waiting.values(), key=lambda run: -run.cost)
    while ends or ordered:
        undone = {run_id for _, run_id in ends} | {run.run_id for run in ordered}
        ready = (run for run in ordered if run.teacher is None or run.teacher.run_id not in undone)
        chosen = [run for run, _ in zip(ready, range(workers - len(ends)), strict=False)]
        for run in chosen:
            heapq.heappush(ends, (now + seconds[run.run_id], run.run_id))
            ordered.remove(run)
        now = heapq.heappop(ends)[0]
    return now


def forecast_of(
    missing: Sequence[PlannedRun], setting: Setting, workers: int, ended: Sequence[tuple[PlannedRun, Record]] = ()
) -> Forecast:
    """How long runs will take: by earlier ones of their kinds, else by what other runs of the plan took, else, on a
    processor, by counted operations and its speed."""
    earlier = earlier_seconds(setting.results, missing)
    if not earlier and missing and (a_cost := seconds_a_cost(ended)) is not None:
        earlier = shared_out(a_cost * sum(run.cost for run in missing), missing)
    if earlier or not missing or missing[0].device != "cpu":
        return Forecast(missing, workers, earlier)
    from kdbench.jobs.expected import expected_on_cpu

    counted = expected_on_cpu(missing, diagnostics=setting.diagnostics).runs
    return Forecast(missing, workers, shared_out(counted, missing), judged_by="this processor's speed")


def roughly(seconds: float) -> str:
    """A time to come, in words: `40 s`, `12 min`, `3.2 h`."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
