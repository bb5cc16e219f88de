"""`kdbench track` and `kdbench ui`: the records in MLflow."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.options import DEFAULT_OUT, OutOption, SpecOption, command_line
from kdbench.cli.values import whole_number
from kdbench.errors import KdbenchError


def track(out: OutOption = DEFAULT_OUT, spec: SpecOption = None) -> None:
    """Mirror the records into MLflow. Records that are mirrored already are left as they are."""
    from kdbench.records import require_records

    require_records(out)
    if warning := mirror_records(out, spec):
        raise KdbenchError(warning)


def ui(
    out: OutOption = DEFAULT_OUT,
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
    serve(out, port, say=typer.echo)


def mirror_records(results: Path, spec: Path | None) -> str:
    """Mirror the records below a folder, print how many, and return a warning about those that were not mirrored."""
    from kdbench.testsets.spec import load_spec
    from kdbench.tracking.mirror import mirror

    done = mirror(results, invocation=command_line(), spec=load_spec(spec))
    typer.echo(
        f"MLflow: {done.added} records added, {done.replaced} replaced, {done.unchanged} unchanged in {done.uri}"
    )
    return done.warning
