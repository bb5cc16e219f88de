"""`kdbench methods`, `kdbench spec` and `kdbench timing`: lists methods and tracks, and times training steps."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.options import DEFAULT_OUT, DeviceOption, MethodsOption, check_can_write, check_device, split_names


def methods() -> None:
    """List the submissions with their directions."""
    from kdbench.jobs.describer import describe_submissions

    for method in describe_submissions():
        typer.echo(f"{method.name:14s} {' '.join(method.directions):44s} {method.summary}")


def spec(
    path: Annotated[Path | None, typer.Argument(help="Spec file. Without this argument, the shipped one.")] = None,
) -> None:
    """Check a spec file and print its tracks with their digests."""
    from kdbench.testsets.spec import load_spec

    loaded = load_spec(path)
    typer.echo(f"spec {loaded.version}")
    for name, entry in loaded.tracks.items():
        digests = (entry.training_digest, entry.testsets_digest, loaded.scoring_digest(name))
        training, testsets, scoring = (digest[:16] for digest in digests)
        typer.echo(f"{name:12s} training {training}  testsets {testsets}  scoring {scoring}  {entry.summary}")


def timing(
    out: Annotated[Path, typer.Option(help="JSON file to write the measurements into.")] = DEFAULT_OUT / "timing.json",
    methods: MethodsOption = "",
    tracks: Annotated[
        str, typer.Option(help="Names of tracks, separated by commas (default: all tracks that this machine can run).")
    ] = "",
    device: DeviceOption = "auto",
    compare: Annotated[
        Path | None,
        typer.Option(help="JSON file of an earlier measurement: say which steps got slower since, and exit with 1."),
    ] = None,
) -> None:
    """Time a training step of every method.

    Each time is printed as a ratio to that of the method `independent`, with an interval.
    """
    from kdbench.jobs.timing import run_timing

    check_device(device)
    check_can_write(out.parent, "--out")
    chosen = {"methods": split_names(methods), "tracks": split_names(tracks)}
    if run_timing(out, **chosen, device=device, stored=compare, print_line=typer.echo):
        raise typer.Exit(1)
