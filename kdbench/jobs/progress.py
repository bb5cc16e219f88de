"""Shows how far an invocation is: live bars on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kdbench.jobs.job import Job
from kdbench.jobs.matrix import PlannedRun
from kdbench.records import Record

_EVALUATION_SHARE = 0.15  # of a run's cost


class RunProgress:
    """A `Watcher` that draws on a console. The total bar counts cost, so that its estimate knows short runs from
    long ones."""

    def __init__(self, console: Console, runs: list[PlannedRun]) -> None:
        self._console, self._live = console, console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            disable=not self._live,
        )
        self._total = self._bars.add_task(f"all {len(runs)} runs", total=sum(run.cost for run in runs) or 1.0)
        self._tasks: dict[str, TaskID] = {}
        self._done_cost = 0.0
        self._cost = sum(run.cost for run in runs)
        self._share: dict[str, float] = {}
        self._finished, self._count = 0, len(runs)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, job: Job) -> None:
        run_id = job.run.run_id
        if run_id not in self._tasks:
            self._tasks[run_id] = self._bars.add_task(job.run.title, total=1.0)
        if job.kind == "evaluate":
            self._bars.update(self._tasks[run_id], description=f"{job.run.title}: test sets")

    def advanced(self, job: Job, done: int, total: int) -> None:
        part = done / max(total, 1)
        share = part * (1 - _EVALUATION_SHARE) if job.kind == "train" else 1 - _EVALUATION_SHARE * (1 - part)
        self._share[job.run.run_id] = share * job.run.cost
        self._bars.update(self._tasks[job.run.run_id], completed=share)
        self._bars.update(self._total, completed=self._done_cost + sum(self._share.values()))

    def finished(self, run: PlannedRun, record: Record) -> None:
        self._share.pop(run.run_id, None)
        self._done_cost += run.cost
        self._finished += 1
        self._bars.update(self._total, completed=self._done_cost + sum(self._share.values()))
        self._bars.remove_task(self._tasks.pop(run.run_id))
        self._console.print(
            f"[{self._finished}/{self._count}] {run.title}: {self._result(record)}{self._left()}",
            markup=False,
            highlight=False,
        )

    def _result(self, record: Record) -> str:
        if record.status != "ok":
            return f"{record.status}, {record.reason}"
        clean = record.test["clean"].macro_accuracy
        return f"clean accuracy {clean:.3f}, trained in {record.timing.training:.0f} s"

    def _left(self) -> str:
        if self._live or self._finished == self._count:
            return ""
        elapsed = time.monotonic() - self._started
        return f"; about {elapsed * (self._cost - self._done_cost) / self._done_cost / 60:.1f} min left"


class TestSetProgress:
    """One bar a step of building test sets; plain lines where there is no terminal. Shows nothing when nothing is
    built."""

    __test__ = False

    def __init__(self, console: Console) -> None:
        self._console, self._live = console, console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def advanced(self, name: str, done: int, total: int) -> None:
        """Shows that `done` of `total` images of a step are done."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(f"test set {name}", total=total)
            if not self._live:
                self._console.print(f"building test set {name}: {total} images", highlight=False)
        self._bars.update(self._tasks[name], completed=done)
