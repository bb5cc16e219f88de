"""`kdbench data ...`: building, checking and looking at test sets, and the pretrained weights that they need."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.errors import InputError
from kdbench.options import (
    DataRootOption,
    LimitTestOption,
    SpecOption,
    TrackOption,
    WeightsOption,
    WorkersOption,
    make_console,
)

if TYPE_CHECKING:
    from kdbench.data.cifar10 import Cifar10
    from kdbench.spec import Track
    from kdbench.testsets.arrays import TestArrays

app = typer.Typer(help="Build, check and look at the test sets.", no_args_is_help=True, rich_markup_mode=None)


@app.command("build", epilog="Example: kdbench data build --track cifar10-32 --data-root ~/cifar10")
def data_build(
    track: TrackOption = "synthetic",
    data_root: DataRootOption = None,
    limit_test: LimitTestOption = None,
    workers: WorkersOption = None,
    spec: SpecOption = None,
) -> None:
    """Build a track's test sets into the cache, or verify them if they are there."""
    _, _, arrays = _open(track, data_root, limit_test, workers, spec)
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {len(one):6d} images  sha256 {one.sha256[:16]}")


@app.command("verify", epilog="Example: kdbench data verify --track synthetic")
def data_verify(
    track: TrackOption = "synthetic",
    data_root: DataRootOption = None,
    limit_test: LimitTestOption = None,
    workers: WorkersOption = None,
    spec: SpecOption = None,
) -> None:
    """Compare a track's test sets with the frozen manifest."""
    from kdbench.testsets.frozen import differences_from_frozen

    chosen, source, arrays = _open(track, data_root, limit_test, workers, spec)
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {one.sha256}")
    reasons = differences_from_frozen(track, chosen, arrays, source)
    if reasons:
        raise InputError(f"test sets of {track}: {'; '.join(reasons)}")
    typer.echo("all as in the frozen manifest")


@app.command("show", epilog="Example: kdbench data show --track synthetic --to sheet.png")
def data_show(
    track: TrackOption = "synthetic",
    to: Annotated[Path, typer.Option("--to", help="PNG file to write.")] = Path("contact-sheet.png"),
    data_root: DataRootOption = None,
    limit_test: LimitTestOption = None,
    workers: WorkersOption = None,
    spec: SpecOption = None,
) -> None:
    """Write a contact sheet: the same images under every manipulation."""
    from kdbench.testsets.contact_sheet import contact_sheet

    contact_sheet(_open(track, data_root, limit_test, workers, spec)[2], to)
    typer.echo(f"wrote {to}")


@app.command("weights", epilog="Example: kdbench data weights --track cifar10-224")
def data_weights(
    track: TrackOption = "cifar10-224",
    weights_dir: WeightsOption = None,
    spec: SpecOption = None,
    fetch: Annotated[bool, typer.Option("--fetch/--no-fetch", help="Fetch what is missing.")] = True,
) -> None:
    """List the pretrained weights that a track needs, and fetch those that are missing."""
    from kdbench.data.weights import fetch as fetch_file
    from kdbench.data.weights import file_sha256, needed_weights, weights_folder
    from kdbench.spec import load_spec

    files = needed_weights(load_spec(spec).track(track))
    folder = weights_dir or weights_folder()
    typer.echo(f"{len(files)} files in {folder}" if files else f"track {track} needs none but those that ship")
    for file in files:
        there = "there" if (folder / file.name).exists() else "missing"
        typer.echo(f"{file.name}: {file.purpose}, {file.megabytes:.1f} MB, {there}\n    from   {file.origin}")
        typer.echo(f"    sha256 {file.sha256 or 'not pinned'}{'...' if file.sha256 and len(file.sha256) < 64 else ''}")
        if fetch:
            typer.echo(f"    found  {file_sha256(fetch_file(file, folder))}")


def _open(
    track: str, data_root: Path | None, limit: int | None, workers: int | None, spec: Path | None
) -> "tuple[Track, Cifar10 | None, dict[str, TestArrays]]":
    from kdbench.benchmark import open_test_sets
    from kdbench.jobs.matrix import with_overrides
    from kdbench.spec import load_spec

    chosen, _ = with_overrides(load_spec(spec).track(track), epochs=None, limit_test=limit, limit_train=None)
    source, arrays = open_test_sets(
        track, chosen, data_root=data_root, limit_test=limit, workers=workers, console=make_console()
    )
    return chosen, source, arrays
