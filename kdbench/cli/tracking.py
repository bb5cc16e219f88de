"""`kdbench track` and `kdbench ui`: the records in MLflow."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    ResultsArgument,
    SeveralResultsArgument,
    SpecOption,
    command_line,
    make_console,
)
from kdbench.cli.values import whole_number
from kdbench.errors import KdbenchError


def track(results: SeveralResultsArgument, spec: SpecOption = None) -> None:
    """Mirror the records into MLflow. Records that are mirrored already are left as they are."""
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
    """Start the web page of MLflow with the mirrored records."""
    from kdbench.tracking.server import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the server too, as Ctrl-C does
    serve(results, port, say=typer.echo)


def mirror_records(results: Path, spec: Path | None) -> str:
    """Mirror the records below a folder, print how many, and return a warning about those that were not mirrored."""
    from kdbench.testsets.spec import load_spec
    from kdbench.tracking.mirror import mirror

    with _mirror_bar() as report:
        done = mirror(results, invocation=command_line(), spec=load_spec(spec), report=report)
    typer.echo(
        f"MLflow: {done.added} records added, {done.replaced} replaced, {done.unchanged} unchanged in {done.uri}"
    )
    return done.warning


@contextmanager
def _mirror_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar with the time left on a terminal until the end of `with`; yield what moves it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = make_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("mirroring records into MLflow", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
