"""Shows how far an invocation is: live bars on a terminal, plain lines elsewhere."""

from collections.abc import Iterable
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from kdbench.jobs.forecast import Forecast
from kdbench.jobs.job import Job
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Record

TRAINING_SHARE = 0.85  # of a run; the rest is its evaluation
_SECONDS_BETWEEN_FORECASTS = 1.0
_SECONDS_BETWEEN_LINES = 60.0  # of a log, about the same step


def roughly(seconds: float) -> str:
    """Return a duration in words: `40 s`, `12 min`, `3.2 h`."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_unofficial(reasons: Iterable[str], console: Console) -> None:
    """Print why runs are not ranked; nothing where there is no reason."""
    distinct = tuple(dict.fromkeys(reasons))
    if distinct:
        text = f"Unofficial, never ranked: {', '.join(distinct)}."
        console.print(text, markup=False, highlight=False, soft_wrap=True)


class _LiveBars:
    """Progress bars that are on a console from `with` to its end; none where it is not a terminal."""

    def __init__(self, console: Console, *columns: ProgressColumn, transient: bool = False) -> None:
        self._console, self._live = console, console.is_terminal
        description = TextColumn("{task.description}")
        self._bars = Bars(
            description, BarColumn(), *columns, console=console, transient=transient, disable=not self._live
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class RunProgress(_LiveBars):
    """A `Watcher` that draws on a console: a bar per run under way, and one for all with the time left."""

    def __init__(self, console: Console, forecast: Forecast) -> None:
        columns = TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn(), TextColumn("{task.fields[left]}")
        super().__init__(console, *columns)
        self._forecast = forecast
        self._all = self._bars.add_task(f"all {len(forecast.runs)} runs", total=1.0, left="")
        self._tasks: dict[str, TaskID] = {}
        self._trained_here: set[str] = set()
        self._finished, self._next_forecast = 0, 0.0

    def started(self, job: Job) -> None:
        if job.run.run_id not in self._tasks:
            self._tasks[job.run.run_id] = self._bars.add_task(job.run.title, total=1.0, left="")
        if job.kind == "evaluate":
            self._bars.update(self._tasks[job.run.run_id], description=f"{job.run.title}: test sets")

    def advanced(self, job: Job, done: int, total: int) -> None:
        share = self._share(job, done / max(total, 1))
        self._forecast.advanced(job.run, share)
        self._bars.update(self._tasks[job.run.run_id], completed=share)
        self._show_all()

    def _share(self, job: Job, part: float) -> float:
        """Return the share of a run that is done with a part of its job; a run that was trained before has one job."""
        if job.kind == "train":
            self._trained_here.add(job.run.run_id)
            return TRAINING_SHARE * part
        return TRAINING_SHARE + (1 - TRAINING_SHARE) * part if job.run.run_id in self._trained_here else part

    def finished(self, run: PlannedRun, record: Record) -> None:
        self._forecast.advanced(run, 1.0)
        self._finished += 1
        self._bars.remove_task(self._tasks.pop(run.run_id))
        self._show_all()
        count = len(self._forecast.runs)
        left = "" if self._live or self._finished == count else _left("; ", self._forecast.left())
        self._print(f"[{self._finished}/{count}] {run.title}: {_result(record)}{left}")

    def _show_all(self) -> None:
        self._bars.update(self._all, completed=self._forecast.share)
        if self._live and monotonic() >= self._next_forecast:
            self._next_forecast = monotonic() + _SECONDS_BETWEEN_FORECASTS
            self._bars.update(self._all, left=_left("", self._forecast.left()))


def _left(before: str, seconds: float | None) -> str:
    return "" if seconds is None else f"{before}about {roughly(seconds)} left"


def _result(record: Record) -> str:
    if record.status != "ok":
        return f"{record.status}, {record.reason}"
    clean = record.test["clean"].macro_accuracy
    return f"clean accuracy {clean:.3f}, trained in {record.timing.training:.0f} s"


class TestSetProgress(_LiveBars):
    """A bar per step of building test sets; plain lines where there is no terminal; nothing where nothing is built."""

    __test__ = False

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.completed:.0f} of {task.total:.0f}"), TimeRemainingColumn())
        super().__init__(console, *columns, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._next_line = 0.0

    def advanced(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` images of a step are done."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(f"test set {name}", total=total)
            self._first[name] = (monotonic(), done)
            self._next_line = monotonic() + _SECONDS_BETWEEN_LINES
            if not self._live:
                self._print(f"building test set {name}: {total} images")
        self._bars.update(self._tasks[name], completed=done)
        if not self._live and monotonic() >= self._next_line and done < total:
            self._next_line = monotonic() + _SECONDS_BETWEEN_LINES
            self._print(f"test set {name}: {done} of {total} images{self._time_left(name, done, total)}")

    def _time_left(self, name: str, done: int, total: int) -> str:
        """Return how long the rest of a step takes at the pace since its first piece, in words."""
        began, before = self._first[name]
        return _left(", ", (monotonic() - began) / (done - before) * (total - done)) if done > before else ""
