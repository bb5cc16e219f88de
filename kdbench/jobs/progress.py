"""Shows how far an invocation is: live bars on a terminal, plain lines elsewhere."""

from collections.abc import Iterable
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kdbench.jobs.forecast import USUAL_SHARE, Forecast, roughly
from kdbench.jobs.job import Job
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Record

_SECONDS_BETWEEN_FORECASTS = 1.0
_SECONDS_BETWEEN_LINES = 60.0  # of a log, about the same step


def say_unofficial(reasons: Iterable[str], console: Console) -> None:
    """Says why runs are not ranked; nothing where there is no reason."""
    named = tuple(dict.fromkeys(reasons))
    if named:
        text = f"Unofficial, never ranked: {', '.join(named)}."
        console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """Progress bars that are on a console from `with` to its end; none where it is no terminal."""

    def __init__(self, console: Console, *columns: ProgressColumn, transient: bool = False) -> None:
        self._console, self._live = console, console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            console=console,
            transient=transient,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()


class RunProgress(_Bars):
    """A `Watcher` that draws on a console. The total bar counts cost; the time left is the forecast's."""

    def __init__(self, console: Console, forecast: Forecast) -> None:
        super().__init__(
            console, TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn(), TextColumn("{task.fields[left]}")
        )
        runs = forecast.runs
        self._forecast = forecast
        self._total = self._bars.add_task(f"all {len(runs)} runs", total=sum(run.cost for run in runs) or 1.0, left="")
        self._tasks: dict[str, TaskID] = {}
        self._done_cost = 0.0
        self._share: dict[str, float] = {}
        self._finished, self._count = 0, len(runs)
        self._next_forecast = 0.0

    def started(self, job: Job) -> None:
        self._forecast.started(job)
        run_id = job.run.run_id
        if run_id not in self._tasks:
            self._tasks[run_id] = self._bars.add_task(job.run.title, total=1.0, left="")
        if job.kind == "evaluate":
            self._bars.update(self._tasks[run_id], description=f"{job.run.title}: test sets")

    def advanced(self, job: Job, done: int, total: int) -> None:
        self._forecast.advanced(job, done, total)
        part = done / max(total, 1)
        before = USUAL_SHARE["train"] if job.kind == "evaluate" else 0.0
        share = before + USUAL_SHARE[job.kind] * part
        self._share[job.run.run_id] = share * job.run.cost
        self._bars.update(self._tasks[job.run.run_id], completed=share)
        self._show_total()

    def finished(self, run: PlannedRun, record: Record) -> None:
        self._forecast.finished(run)
        self._share.pop(run.run_id, None)
        self._done_cost += run.cost
        self._finished += 1
        self._bars.remove_task(self._tasks.pop(run.run_id))
        self._show_total()
        self._console.print(
            f"[{self._finished}/{self._count}] {run.title}: {_result(record)}{self._line_end()}",
            markup=False,
            highlight=False,
        )

    def _show_total(self) -> None:
        self._bars.update(self._total, completed=self._done_cost + sum(self._share.values()))
        now = self._forecast.clock()
        if self._live and now >= self._next_forecast:
            self._next_forecast = now + _SECONDS_BETWEEN_FORECASTS
            self._bars.update(self._total, left=_in_words(self._forecast.left()))

    def _line_end(self) -> str:
        """What a plain line says of the time left."""
        if self._live or self._finished == self._count:
            return ""
        words = _in_words(self._forecast.left())
        return f"; {words}" if words else ""


def _in_words(left: float | None) -> str:
    return "" if left is None else f"about {roughly(left)} left"


def _result(record: Record) -> str:
    if record.status != "ok":
        return f"{record.status}, {record.reason}"
    clean = record.test["clean"].macro_accuracy
    return f"clean accuracy {clean:.3f}, trained in {record.timing.training:.0f} s"


class TestSetProgress(_Bars):
    """One bar a step of building test sets; plain lines where there is no terminal. Shows nothing when nothing is
    built."""

    __test__ = False

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.completed:.0f} of {task.total:.0f}"), TimeRemainingColumn())
        super().__init__(console, *columns, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._next_line = 0.0

    def advanced(self, name: str, done: int, total: int) -> None:
        """Shows that `done` of `total` images of a step are done."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(f"test set {name}", total=total)
            self._first[name] = (monotonic(), done)
            self._next_line = monotonic() + _SECONDS_BETWEEN_LINES
            if not self._live:
                self._console.print(f"building test set {name}: {total} images", highlight=False)
        self._bars.update(self._tasks[name], completed=done)
        if not self._live and monotonic() >= self._next_line and done < total:
            self._next_line = monotonic() + _SECONDS_BETWEEN_LINES
            self._console.print(
                f"test set {name}: {done} of {total} images{self._left(name, done, total)}", highlight=False
            )

    def _left(self, name: str, done: int, total: int) -> str:
        """How long the rest of a step will take at the pace since its first piece."""
        began, before = self._first[name]
        if done <= before:
            return ""
        return f", {_in_words((monotonic() - began) / (done - before) * (total - done))}"
