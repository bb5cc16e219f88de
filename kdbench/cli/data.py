"""`kdbench data ...`: building, checking and looking at test sets, and the pretrained weights that they need."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    DataRootOption,
    DeviceOption,
    LimitTestOption,
    SpecOption,
    StyleOption,
    TrackOption,
    WeightsOption,
    WorkersOption,
    YesOption,
    check_can_write,
    check_device,
    check_weights_dir,
    make_console,
    takes,
)
from kdbench.errors import InputError

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
class VerifyOptions:
    """Which test sets, and what they were made from."""

    track: TrackOption = "synthetic"
    data_root: DataRootOption = None
    limit_test: LimitTestOption = None
    spec: SpecOption = None
    diagnostics: Annotated[bool, typer.Option("--diagnostics", help="With the diagnostic sets.")] = False
    style: StyleOption = None


@dataclass(frozen=True)
class TestSetOptions(VerifyOptions):
    """The same, and with what those are built that are missing."""

    workers: WorkersOption = None
    device: DeviceOption = "auto"
    weights_dir: WeightsOption = None
    yes: YesOption = False


@dataclass(frozen=True)
class ShowOptions(TestSetOptions):
    """The same, and where the picture goes."""

    to: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("contact-sheet.png")


@app.command("build", epilog="Example: kdbench data build --track cifar10-32 --data-root ~/cifar10")
@takes(TestSetOptions)
def data_build(options: TestSetOptions) -> None:
    """Build a track's test sets into the cache, or verify them if they are there."""
    from kdbench.resources import cache_folder
    from kdbench.testsets.build import facts_of_test_sets

    chosen, source, arrays = _open(options)
    facts = facts_of_test_sets(
        chosen,
        cache_folder(),
        source=source,
        limit=options.limit_test,
        diagnostics=options.diagnostics,
    )
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {len(one):6d} images  sha256 {one.sha256[:16]}")
        if poor := facts[name].get("uncovered_classes"):
            typer.echo(f"    says nothing of {', '.join(poor)}: an object was found in less than half of their images")


@app.command("verify", epilog="Example: kdbench data verify --track synthetic")
@takes(VerifyOptions)
def data_verify(options: VerifyOptions) -> None:
    """Compare a track's built test sets with the frozen manifest; builds none."""
    from kdbench.jobs.invocation import source_of
    from kdbench.resources import cache_folder
    from kdbench.testsets.build import verify_test_sets
    from kdbench.testsets.frozen import differences_from_frozen

    chosen = _track(options)
    source = source_of(chosen, options.data_root)
    arrays = verify_test_sets(
        chosen,
        cache_folder(),
        source=source,
        limit=options.limit_test,
        diagnostics=options.diagnostics,
    )
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {one.sha256}")
    reasons = differences_from_frozen(chosen, arrays, source)
    if reasons:
        raise InputError(f"test sets of {options.track}: {'; '.join(reasons)}")
    typer.echo("all as in the frozen manifest")


@app.command("show", epilog="Example: kdbench data show --track synthetic --to sheet.png")
@takes(ShowOptions)
def data_show(options: ShowOptions) -> None:
    """Write a contact sheet: the same images under every manipulation."""
    from kdbench.testsets.contact_sheet import contact_sheet

    check_can_write(options.to.parent, "--to")
    track, _, arrays = _open(options)
    contact_sheet(arrays, options.to, track.data)
    typer.echo(f"wrote {options.to}")


@app.command("weights", epilog="Example: kdbench data weights --track cifar10-224")
def data_weights(
    track: TrackOption = "cifar10-224",
    weights_dir: WeightsOption = None,
    spec: SpecOption = None,
    fetch: Annotated[bool, typer.Option("--fetch/--no-fetch", help="Fetch what is missing.")] = True,
) -> None:
    """List the pretrained weights that a track needs, and fetch those that are missing."""
    from kdbench.networks.weights import condition_of, file_sha256, weights_folder
    from kdbench.networks.weights import fetch as fetch_file
    from kdbench.testsets.spec import load_spec
    from kdbench.testsets.weights import needed_weights

    files = needed_weights(load_spec(spec).track(track))
    folder = weights_folder(weights_dir)
    typer.echo(f"{len(files)} files in {folder}" if files else f"track {track} needs none but those that ship")
    for file in files:
        condition = condition_of(file, folder)
        typer.echo(f"{file.name}: {file.purpose}, {file.megabytes:.1f} MB, {condition}\n    from   {file.address}")
        typer.echo(f"    sha256 {file.sha256 or 'not pinned'}{'...' if file.sha256 and len(file.sha256) < 64 else ''}")
        if fetch:
            typer.echo(f"    found  {file_sha256(fetch_file(file, folder))}")


@dataclass(frozen=True)
class ExportOptions(TestSetOptions):
    """The same, and where the archive goes."""

    to: Annotated[Path, typer.Option(help="Archive to write.")] = Path("test-sets.zip")


@app.command("export", epilog="Example: kdbench data export --track cifar10-224 --to cifar10-224.zip")
@takes(ExportOptions)
def data_export(options: ExportOptions) -> None:
    """Write a track's built test sets into one archive, for others to import."""
    from kdbench.resources import cache_folder
    from kdbench.testsets.archive import export_test_sets
    from kdbench.testsets.frozen import source_kind
    from kdbench.testsets.store import TestSetStore

    _refuse_limits(options)
    check_can_write(options.to.parent, "--to")
    track, source, _ = _open(options)
    store = TestSetStore.of(track, cache_folder(), source=source, limit=None)
    contents = export_test_sets(store, source_kind(source), options.to, diagnostics=options.diagnostics)
    typer.echo(f"wrote {options.to}: {len(contents.folders)} sets, made from {contents.source} images")


@app.command("import", epilog="Example: kdbench data import cifar10-224.zip")
def data_import(
    archive: Annotated[Path, typer.Argument(help="Archive that `kdbench data export` wrote.")],
    spec: SpecOption = None,
) -> None:
    """Put the test sets of an archive into the cache, after verifying every byte."""
    from kdbench.resources import cache_folder
    from kdbench.testsets.archive import import_test_sets
    from kdbench.testsets.spec import load_spec

    contents, arrays = import_test_sets(archive, load_spec(spec).tracks, cache_folder())
    for name, one in arrays.items():
        typer.echo(f"{name:16s} {len(one):6d} images  sha256 {one.sha256[:16]}")
    typer.echo(
        f"{len(arrays)} sets of {contents.track}, made from {contents.source} images; `kdbench data verify` "
        "compares them with the frozen manifest"
    )


@dataclass(frozen=True)
class FreezeOptions(TestSetOptions):
    """The same, and where the proposal goes."""

    to: Annotated[Path, typer.Option(help="Proposal to write.")] = Path("manifest-proposal.toml")


@app.command("freeze", epilog="Example: kdbench data freeze --track cifar10-224 --to proposal.toml")
@takes(FreezeOptions)
def data_freeze(options: FreezeOptions) -> None:
    """Write the digests of a track's test sets and weights as a proposal; a person reviews and freezes them."""
    from kdbench.testsets.frozen import proposal_heading, write_proposal

    _refuse_limits(options)
    check_can_write(options.to.parent, "--to")
    track, source, arrays = _open(options)
    rows = write_proposal(options.to, track, arrays, source, options.weights_dir)
    typer.echo(proposal_heading(rows))
    typer.echo(f"wrote {options.to}: {len(rows)} digests")


def _refuse_limits(options: TestSetOptions) -> None:
    if options.limit_test is not None or options.style is not None:
        raise InputError(
            "what is exported or frozen are the whole sets of the spec; leave out --limit-test and --style"
        )


def _open(options: TestSetOptions) -> "tuple[Track, Cifar10 | None, dict[str, TestArrays]]":
    from kdbench.jobs.invocation import make_networks, open_test_sets
    from kdbench.networks.device import choose_device

    check_device(options.device)
    check_weights_dir(options.weights_dir)
    device, confirmed = choose_device(options.device), options.device == "cpu" and options.yes
    chosen = _track(options)
    source, arrays = open_test_sets(
        chosen,
        data_root=options.data_root,
        limit_test=options.limit_test,
        workers=options.workers,
        console=make_console(),
        diagnostics=options.diagnostics,
        networks=make_networks(device, confirmed=confirmed, weights_dir=options.weights_dir),
    )
    return chosen, source, arrays


def _track(options: VerifyOptions) -> "Track":
    """The track as it is asked for."""
    from kdbench.plan.matrix import with_overrides
    from kdbench.testsets.spec import load_spec

    track = load_spec(options.spec).track(options.track)
    return with_overrides(track, epochs=None, limit_test=options.limit_test, limit_train=None, style=options.style)[0]
