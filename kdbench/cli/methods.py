"""`kdbench methods`, `kdbench spec` and `kdbench timing`: lists methods and tracks, and times training steps."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    DeviceOption,
    JsonOption,
    MethodsOption,
    check_can_write,
    check_device,
    split_names,
)
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.spec import Spec

STEP_TIMES, SCALING = DEFAULT_OUT / "timing.json", DEFAULT_OUT / "scaling.json"


def methods(as_json: JsonOption = False) -> None:
    """List the submissions with the directions in which they can train."""
    from kdbench.jobs.describer import describe_submissions

    described = describe_submissions()
    if as_json:
        typer.echo(json.dumps([method.model_dump(mode="json") for method in described], indent=1))
        return
    for method in described:
        directions = " ".join((*method.directions, *method.beyond_paper))
        typer.echo(f"{method.name:14s} {directions:44s} {method.summary}")


def spec(
    path: Annotated[Path | None, typer.Argument(help="Spec file. Without this argument, the shipped one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the tracks of a spec with their digests.

    A spec file is checked as `kdbench run --spec` checks it: its values, and whether timm can make its networks for its
    images.
    """
    from kdbench.testsets.spec import load_spec

    loaded = load_spec(path)
    if path is not None:
        _check_tracks(path, loaded)
    tracks = {name: _described_track(name, loaded) for name in loaded.tracks}
    if as_json:
        typer.echo(json.dumps({"version": loaded.version, "tracks": tracks}, indent=1))
        return
    typer.echo(f"spec {loaded.version}")
    for name, entry in tracks.items():
        digests = "  ".join(f"{part} {entry[part][:16]}" for part in ("training", "testsets", "scoring"))
        typer.echo(f"{name:12s} {digests}  {entry['summary']}")


def _check_tracks(path: Path, spec: "Spec") -> None:
    """Raise InputError if a track of a spec file cannot be run; the message names both."""
    from kdbench.plan.checks import check_track

    for name, track in spec.tracks.items():
        try:
            check_track(track)
        except InputError as error:
            raise InputError(f"spec {path}: tracks.{name}: {error}") from error


def _described_track(name: str, spec: "Spec") -> dict[str, str]:
    """Return the digests and the summary of a track."""
    track = spec.tracks[name]
    return {
        "training": track.training_digest,
        "testsets": track.testsets_digest,
        "scoring": spec.scoring_digest(name),
        "summary": track.summary,
    }


def timing(
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"JSON file to write the measurements into (default: {STEP_TIMES}, or {SCALING} with --scaling)."
        ),
    ] = None,
    methods: MethodsOption = "",
    tracks: Annotated[
        str, typer.Option(help="Names of tracks, separated by commas (default: all tracks that this machine can run).")
    ] = "",
    device: DeviceOption = "auto",
    compare: Annotated[
        Path | None,
        typer.Option(help="JSON file of an earlier measurement: say which steps got slower since, and exit with 1."),
    ] = None,
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling",
            help="Measure instead how the time grows with images, their size, methods, seeds, workers and GPUs.",
        ),
    ] = False,
) -> None:
    """Time a training step of every method.

    Each time is printed as a ratio to that of the method `independent`, with an interval.
    """
    from kdbench.jobs.scaling import run_scaling
    from kdbench.jobs.timing import run_timing

    if scaling and (methods or tracks or compare is not None):
        raise InputError("--scaling measures fixed work; give it without --methods, --tracks and --compare")
    check_device(device)
    out = out or (SCALING if scaling else STEP_TIMES)
    check_can_write(out.parent, "--out")
    if scaling:
        run_scaling(out, device=device, print_line=typer.echo)
        return
    chosen = {"methods": split_names(methods), "tracks": split_names(tracks)}
    if run_timing(out, **chosen, device=device, stored=compare, print_line=typer.echo):
        raise typer.Exit(1)
