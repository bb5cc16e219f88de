"""`kdbench track` and `kdbench ui`: the records in MLflow."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    ResultsArgument,
    SeveralResultsArgument,
    SpecOption,
    make_console,
)
from kdbench.cli.values import whole_number
from kdbench.errors import KdbenchError

if TYPE_CHECKING:
    from kdbench.scoring.scores import Scores

_SECONDS_PER_LINE = 5


def track(results: SeveralResultsArgument, spec: SpecOption = None) -> None:
    """Mirror the records and their alpha or tau into MLflow. What is mirrored already is left as it is."""
    from kdbench.records import require_records

    require_records(*results)
    warnings = [warning for folder in results if (warning := mirror_records(folder, spec))]
    if warnings:
        raise KdbenchError("; ".join(warnings))


def ui(
    results: ResultsArgument = DEFAULT_OUT,
    port: Annotated[
        int,
        typer.Option(
            parser=whole_number("--port", least=1, most=65535),
            metavar="<int>",
            help="Port of the page on this machine.",
        ),
    ] = 5000,
) -> None:
    """Start the web page of MLflow, and print the address that shows the mirrored runs with charts."""
    from kdbench.tracking.server import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the server too, as Ctrl-C does
    serve(results, port, say=typer.echo)


def mirror_records(
    results: Path, spec: Path | None, *, scores: "Scores | None" = None, patience: float | None = None
) -> str:
    """Mirror the records below a folder, print how many, and return a warning about those that were not mirrored.

    Args:
        results: folder of records.
        spec: file of the spec; None for the shipped one.
        scores: of the records; None to compute them.
        patience: seconds in which MLflow must answer first; None for as many as a person waits.
    """
    from kdbench.testsets.spec import load_spec
    from kdbench.tracking.mirror import PATIENCE, mirror

    with _mirror_bar() as report:
        done = mirror(results, spec=load_spec(spec), scores=scores, patience=patience or PATIENCE, report=report)
    typer.echo(
        f"MLflow: {done.added} records added, {done.replaced} replaced, {done.unchanged} unchanged, "
        f"{done.scores} scores written in {done.uri}"
    )
    return done.warning


@contextmanager
def _mirror_bar() -> Iterator[Callable[[int, int], None]]:
    """Show how far the mirror is until the end of `with`, with the time left; yield what moves it.

    On a terminal it is a bar; elsewhere it is a line every few seconds.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = make_console()
    if not console.is_terminal:
        yield _Lines().report
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("mirroring records into MLflow", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


class _Lines:
    """Prints how far the mirror is every few seconds, with the time left at the rate since the first run."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._printed = monotonic()

    def report(self, done: int, total: int) -> None:
        """Print a line, unless the last one is fresh or all is done."""
        now = monotonic()
        if self._first is None:
            self._first = now, done
        started, first = self._first
        if first < done < total and now >= self._printed + _SECONDS_PER_LINE:
            self._printed = now
            left = (now - started) * (total - done) / (done - first)
            typer.echo(f"mirroring records into MLflow: {done} of {total}, about {left:.0f} s left")
