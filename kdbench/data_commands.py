"""`kdbench data ...`: building, checking and looking at test sets, and the pretrained weights that they need."""

from dataclasses import dataclass
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
    takes,
)

if TYPE_CHECKING:
    from kdbench.data.cifar10 import Cifar10
    from kdbench.spec import Track
    from kdbench.testsets.arrays import TestArrays

app = typer.Typer(
    help="Build, check and look at the test sets.",
    epilog="Example: kdbench data build --track synthetic",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dataclass(frozen=True)
class TestSetOptions:
    """Which test sets, and what they are made from."""

    track: TrackOption = "synthetic"
    data_root: DataRootOption = None
    limit_test: LimitTestOption = None
    workers: WorkersOption = None
    spec: SpecOption = None


@dataclass(frozen=True)
class ShowOptions(TestSetOptions):
    """The same, and where the picture goes."""

    to: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("contact-sheet.png")


@app.command("build", epilog="Example: kdbench data build --track cifar10-32 --data-root ~/cifar10")
@takes(TestSetOptions)
def data_build(options: TestSetOptions) -> None:
    """Build a track's test sets into the cache, or verify them if they are there."""
    _, _, arrays = _open(options)
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {len(one):6d} images  sha256 {one.sha256[:16]}")


@app.command("verify", epilog="Example: kdbench data verify --track synthetic")
@takes(TestSetOptions)
def data_verify(options: TestSetOptions) -> None:
    """Compare a track's test sets with the frozen manifest."""
    from kdbench.testsets.frozen import differences_from_frozen

    chosen, source, arrays = _open(options)
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {one.sha256}")
    reasons = differences_from_frozen(options.track, chosen, arrays, source)
    if reasons:
        raise InputError(f"test sets of {options.track}: {'; '.join(reasons)}")
    typer.echo("all as in the frozen manifest")


@app.command("show", epilog="Example: kdbench data show --track synthetic --to sheet.png")
@takes(ShowOptions)
def data_show(options: ShowOptions) -> None:
    """Write a contact sheet: the same images under every manipulation."""
    from kdbench.testsets.contact_sheet import contact_sheet

    contact_sheet(_open(options)[2], options.to)
    typer.echo(f"wrote {options.to}")


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


def _open(options: TestSetOptions) -> "tuple[Track, Cifar10 | None, dict[str, TestArrays]]":
    from kdbench.benchmark import open_test_sets
    from kdbench.jobs.matrix import with_overrides
    from kdbench.spec import load_spec

    track = load_spec(options.spec).track(options.track)
    chosen, _ = with_overrides(track, epochs=None, limit_test=options.limit_test, limit_train=None)
    source, arrays = open_test_sets(
        options.track,
        chosen,
        data_root=options.data_root,
        limit_test=options.limit_test,
        workers=options.workers,
        console=make_console(),
    )
    return chosen, source, arrays
