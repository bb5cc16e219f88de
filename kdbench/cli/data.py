"""`kdbench data ...`: building, checking and looking at test sets, and the pretrained weights that they need."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    SpecOption,
    TrackOption,
    WeightsOption,
    check_can_write,
    check_test_set_options,
    make_console,
    with_test_set_options,
)
from kdbench.errors import InputError
from kdbench.plan.options import TestSetOptions

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
BUILDING = ("workers", "device", "weights_dir", "yes")  # the options that say how sets are built
CHANGING = ("limit_test", "style")  # the options that make sets other than those of the spec


@app.command("build", epilog="Example: kdbench data build --track cifar10-32 --data-root ~/cifar10")
@with_test_set_options()
def data_build(options: TestSetOptions) -> None:
    """Build a track's test sets in the cache.

    Sets that are in the cache already are verified instead.
    """
    from kdbench.resources import cache_folder
    from kdbench.testsets.build import facts_of_test_sets

    track, source, test_sets = _open(options)
    facts = facts_of_test_sets(track, cache_folder(), source=source, diagnostics=options.with_diagnostics)
    for name, arrays in test_sets.items():
        typer.echo(f"{name:16s} {len(arrays):6d} images  sha256 {arrays.sha256[:16]}")
        if uncovered := facts[name].get("uncovered_classes"):
            typer.echo(f"    does not test {', '.join(uncovered)}: fewer than half of their images have a known object")


@app.command("verify", epilog="Example: kdbench data verify --track synthetic")
@with_test_set_options(without=BUILDING)
def data_verify(options: TestSetOptions) -> None:
    """Compare a track's built test sets with the frozen manifest. This command builds no test sets."""
    from kdbench.data.decoded import source_of
    from kdbench.resources import cache_folder
    from kdbench.testsets.build import verify_test_sets
    from kdbench.testsets.frozen import differences_from_frozen

    track = _track(options)
    source = source_of(track, options.data_root, cache_folder())
    test_sets = verify_test_sets(track, cache_folder(), source=source, diagnostics=options.with_diagnostics)
    for name, arrays in test_sets.items():
        typer.echo(f"{name:16s} {arrays.sha256}")
    reasons = differences_from_frozen(track, test_sets, source)
    if reasons:
        raise InputError(f"test sets of {track.name}: {'; '.join(reasons)}")
    typer.echo("all test sets are equal to those of the frozen manifest")


@app.command("show", epilog="Example: kdbench data show --track synthetic --to sheet.png")
@with_test_set_options()
def data_show(
    options: TestSetOptions,
    to: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("contact-sheet.png"),
) -> None:
    """Write a contact sheet: the same images under every manipulation."""
    from kdbench.testsets.contact_sheet import contact_sheet

    check_can_write(to.parent, "--to")
    track, _, test_sets = _open(options)
    contact_sheet(test_sets, to, track.data)
    typer.echo(f"wrote {to}")


@app.command("weights", epilog="Example: kdbench data weights --track cifar10-224")
def data_weights(
    track: TrackOption = "cifar10-224",
    weights_dir: WeightsOption = None,
    spec: SpecOption = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the files that are missing.")] = False,
) -> None:
    """List the pretrained weights of a track, and with --fetch, fetch those that are missing."""
    from kdbench.networks.weights import condition_of, weights_folder, weights_sha256
    from kdbench.networks.weights import fetch as fetch_file
    from kdbench.testsets.spec import load_spec
    from kdbench.testsets.weights import needed_weights

    files = needed_weights(load_spec(spec).track(track))
    folder = weights_folder(weights_dir)
    typer.echo(
        f"{len(files)} files in {folder}"
        if files
        else f"track {track} needs no other weights than those that are shipped"
    )
    for file in files:
        condition = condition_of(file, folder)
        typer.echo(f"{file.name}: {file.purpose}, {file.megabytes:.1f} MB, {condition}\n    from   {file.address}")
        typer.echo(f"    sha256 {file.sha256 or 'not pinned'}{'...' if file.sha256 and len(file.sha256) < 64 else ''}")
    for file in files if fetch else ():
        typer.echo(f"{file.name}: fetched, sha256 {weights_sha256(fetch_file(file, folder))}")


@app.command("export", epilog="Example: kdbench data export --track cifar10-224 --to cifar10-224.zip")
@with_test_set_options(without=CHANGING)
def data_export(
    options: TestSetOptions,
    to: Annotated[Path, typer.Option(help="Archive to write (ZIP).")] = Path("test-sets.zip"),
) -> None:
    """Write a track's test sets into one archive.

    The archive is for `kdbench data import` on another machine.
    """
    from kdbench.resources import cache_folder
    from kdbench.testsets.archive import export_test_sets
    from kdbench.testsets.frozen import source_kind
    from kdbench.testsets.store import TestSetStore

    check_can_write(to.parent, "--to")
    track, source, _ = _open(options)
    store = TestSetStore.of(track, cache_folder(), source=source)
    contents = export_test_sets(store, source_kind(track, source), to, diagnostics=options.with_diagnostics)
    typer.echo(f"wrote {to}: {len(contents.folders)} sets, made from {contents.source} images")


@app.command("import", epilog="Example: kdbench data import cifar10-224.zip")
def data_import(
    archive: Annotated[Path, typer.Argument(help="Archive that `kdbench data export` wrote.")],
    spec: SpecOption = None,
) -> None:
    """Put the test sets of an archive into the cache.

    Every byte is verified first.
    """
    from kdbench.resources import cache_folder
    from kdbench.testsets.archive import import_test_sets
    from kdbench.testsets.spec import load_spec

    contents, test_sets = import_test_sets(archive, load_spec(spec).tracks, cache_folder())
    for name, arrays in test_sets.items():
        typer.echo(f"{name:16s} {len(arrays):6d} images  sha256 {arrays.sha256[:16]}")
    typer.echo(
        f"{len(test_sets)} sets of {contents.track}, made from {contents.source} images; `kdbench data verify` "
        "compares them with the frozen manifest"
    )


@app.command("freeze", epilog="Example: kdbench data freeze --track cifar10-224 --to proposal.toml")
@with_test_set_options(without=CHANGING)
def data_freeze(
    options: TestSetOptions,
    to: Annotated[Path, typer.Option(help="TOML file to write the proposal into.")] = Path("manifest-proposal.toml"),
) -> None:
    """Propose digests of a track's test sets and weights.

    A person reviews the proposal and freezes it.
    """
    from kdbench.testsets.frozen import proposal_heading, write_proposal

    check_can_write(to.parent, "--to")
    track, source, test_sets = _open(options)
    rows = write_proposal(to, track, test_sets, source, options.weights_dir)
    typer.echo(proposal_heading(rows))
    typer.echo(f"wrote {to}: {len(rows)} digests")


def _open(options: TestSetOptions) -> "tuple[Track, Cifar10 | None, dict[str, TestArrays]]":
    """Open the test sets that the options describe; return the track as it was opened, its source and the arrays."""
    from kdbench.jobs.opening import open_test_sets

    check_test_set_options(options)
    track = _track(options)
    source, test_sets = open_test_sets(track, options, make_console())
    return track, source, test_sets


def _track(options: TestSetOptions) -> "Track":
    from kdbench.plan.overrides import with_overrides
    from kdbench.testsets.spec import load_spec

    track = load_spec(options.spec).track(options.track)
    return with_overrides(track, limit_test=options.limit_test, style=options.style)[0]
