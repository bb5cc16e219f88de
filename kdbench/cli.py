"""The command line: thin commands over the rooms of the package. Heavy imports happen inside the commands that need
them."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.errors import InputError, KdbenchError

if TYPE_CHECKING:
    from rich.console import Console

    from kdbench.data.cifar10 import Cifar10
    from kdbench.spec import Track
    from kdbench.testsets.arrays import TestArrays

app = typer.Typer(
    help="Does a distilled student inherit its teacher's inductive biases, or only its accuracy?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Build, check and look at the test sets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")

DEFAULT_OUT = Path("runs")
SITE = Path("leaderboard") / "site"
TrackOption = Annotated[str, typer.Option("--track", help="Track of the spec: synthetic or cifar10-32.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the records.")]
MethodsOption = Annotated[
    str, typer.Option("--methods", help="Method names or files, with commas (default: all submissions).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
SpecOption = Annotated[Path | None, typer.Option("--spec", help="Another spec file than the shipped one (unofficial).")]
DataRootOption = Annotated[
    Path | None, typer.Option("--data-root", help="Folder that holds CIFAR-10; without it, it is downloaded.")
]
LimitTestOption = Annotated[
    int | None, typer.Option("--limit-test", min=10, help="Images a test set, at most (unofficial).")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Jobs at a time (default: the number of cores).")
]


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    if debug:
        os.environ["KDBENCH_DEBUG"] = "1"


@app.command(epilog="Example: kdbench run --methods lm --seeds 0-4")
def run(
    track: TrackOption = "synthetic",
    methods: MethodsOption = "",
    directions: Annotated[str, typer.Option("--directions", help="cnn-to-vit, vit-to-cnn, or both with a comma.")] = "",
    seeds: Annotated[str, typer.Option("--seeds", help="Random seeds: 0, or 0,1,2, or 0-4.")] = "0",
    config: Annotated[list[str] | None, typer.Option("--config", help="METHOD.KEY=VALUE, as often as needed.")] = None,
    out: OutOption = DEFAULT_OUT,
    data_root: DataRootOption = None,
    limit_train: Annotated[
        int | None, typer.Option("--limit-train", min=10, help="Training images, at most (unofficial).")
    ] = None,
    limit_test: LimitTestOption = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Epochs of teachers and students (unofficial).")
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    diagnostics: Annotated[
        bool, typer.Option("--diagnostics", help="Evaluate on the diagnostic test sets too.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
    time_limit: Annotated[float, typer.Option("--time-limit", min=1, help="Seconds that one run may take.")] = 14400,
    memory_limit: Annotated[
        float, typer.Option("--memory-limit", min=0.1, help="GiB of memory that one run may take.")
    ] = 16,
    spec: SpecOption = None,
    site: Annotated[Path, typer.Option("--site", help="Folder of the rendered page.")] = SITE,
    track_runs: Annotated[bool, typer.Option("--mlflow/--no-mlflow", help="Mirror the records into MLflow.")] = True,
) -> None:
    """Train and evaluate what has no record yet, score all records, and render the leaderboard."""
    from kdbench.benchmark import Asked
    from kdbench.benchmark import run as run_benchmark

    _check_device(device)
    os.environ["KDBENCH_COMMAND"] = "kdbench " + " ".join(sys.argv[1:])
    asked = Asked(
        track=track,
        methods=_listed(methods),
        directions=_listed(directions),
        seeds=seeds,
        configs=config or (),
        out=out,
        data_root=data_root,
        limit_train=limit_train,
        limit_test=limit_test,
        epochs=epochs,
        device=device,
        workers=workers,
        diagnostics=diagnostics,
        retry_failed=retry_failed,
        spec=spec,
        time_limit=time_limit,
        memory_limit=memory_limit,
    )
    records = run_benchmark(asked, _console())
    if track_runs:
        _mirror(out)
    _score_and_render(out, spec, site)
    failed = [record for record in records if record.status != "ok"]
    if failed:
        raise KdbenchError(
            f"{len(failed)} of {len(records)} runs failed; first: {failed[0].method}, {failed[0].reason}; "
            "--retry-failed runs them again"
        )


@app.command(epilog="Example: kdbench score runs")
def score(
    results: Annotated[Path, typer.Argument(help="Folder of the records.")] = DEFAULT_OUT,
    spec: SpecOption = None,
) -> None:
    """Compute scores.json from the records, and print the boards."""
    from kdbench.scoring.board import score as score_records
    from kdbench.scoring.board import write_scores
    from kdbench.scoring.terminal import print_boards
    from kdbench.spec import load_spec

    scores = score_records(results, load_spec(spec))
    write_scores(scores, results / "scores.json")
    print_boards(scores, _console())


@app.command(epilog="Example: kdbench leaderboard --out runs --site leaderboard/site")
def leaderboard(
    out: OutOption = DEFAULT_OUT,
    site: Annotated[Path, typer.Option("--site", help="Folder of the rendered page.")] = SITE,
    spec: SpecOption = None,
) -> None:
    """Score the records and render the static page."""
    _score_and_render(out, spec, site)


@app.command(epilog="Example: kdbench track --out runs")
def track(out: OutOption = DEFAULT_OUT) -> None:
    """Mirror the records into MLflow; twice is the same as once."""
    _mirror(out)


@app.command(epilog="Example: kdbench ui --port 5000")
def ui(
    out: OutOption = DEFAULT_OUT,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000,
) -> None:
    """Start MLflow's web page on the mirrored records."""
    from kdbench.tracking import serve

    serve(out, port)


@app.command(epilog="Example: kdbench methods")
def methods() -> None:
    """List the submissions."""
    from kdbench.method_files import list_submissions
    from kdbench.submissions import load_submission

    for name in list_submissions():
        method = load_submission(name)
        typer.echo(f"{name:14s} {' '.join(method.directions):44s} {method.summary}")


@app.command(epilog="Example: kdbench spec")
def spec(path: Annotated[Path | None, typer.Argument(help="A spec file; without it, the shipped one.")] = None) -> None:
    """Check a spec file and print its tracks and digests."""
    from kdbench.spec import load_spec

    loaded = load_spec(path)
    typer.echo(f"spec {loaded.version}, scoring {loaded.scoring_digest[:16]}")
    for name, entry in loaded.tracks.items():
        typer.echo(
            f"{name:12s} training {entry.training_digest[:16]}  testsets {entry.testsets_digest[:16]}  {entry.summary}"
        )


@app.command(epilog="Example: kdbench timing --out timing.json")
def timing(
    out: Annotated[Path, typer.Option("--out", help="Where the measurements go.")] = DEFAULT_OUT / "timing.json",
    methods: MethodsOption = "",
    tracks: Annotated[str, typer.Option("--tracks", help="Track names, with commas (default: all that fit).")] = "",
    device: DeviceOption = "auto",
) -> None:
    """Time a training step of every method, and print ratios to independent."""
    from kdbench.timing import run_timing

    _check_device(device)
    run_timing(out, methods=_listed(methods), tracks=_listed(tracks), device=device)


@data_app.command("build", epilog="Example: kdbench data build --track cifar10-32 --data-root ~/cifar10")
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


@data_app.command("verify", epilog="Example: kdbench data verify --track synthetic")
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


@data_app.command("show", epilog="Example: kdbench data show --track synthetic --to sheet.png")
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


def _console() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=True)


def _check_device(device: str) -> None:
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {device!r} is none of: auto, cpu, cuda")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _mirror(results: Path) -> None:
    from kdbench.tracking import mirror

    done = mirror(results, invocation=" ".join(["kdbench", *sys.argv[1:]]))
    typer.echo(
        f"MLflow: {done.added} records added, {done.replaced} replaced, {done.unchanged} unchanged in {done.uri}"
    )
    if done.warning:
        typer.echo(f"kdbench: warning: {done.warning}", err=True)


def _score_and_render(results: Path, spec: Path | None, site: Path) -> None:
    from kdbench.publish import publish
    from kdbench.scoring.terminal import print_superseded

    page, scores = publish(results, site, spec)
    print_superseded(scores, _console())
    typer.echo(f"leaderboard: {page}")


def _open(
    track: str, data_root: Path | None, limit: int | None, workers: int | None, spec: Path | None
) -> "tuple[Track, Cifar10 | None, dict[str, TestArrays]]":
    from kdbench.benchmark import open_test_sets
    from kdbench.jobs.matrix import with_overrides
    from kdbench.spec import load_spec

    chosen, _ = with_overrides(load_spec(spec).track(track), epochs=None, limit_test=limit, limit_train=None)
    source, arrays = open_test_sets(
        track, chosen, data_root=data_root, limit_test=limit, workers=workers, console=_console()
    )
    return chosen, source, arrays


def main() -> None:
    """Runs the command line: one sentence on standard error and a non-zero exit code for every error a user can
    mend."""
    try:
        app()
    except KdbenchError as error:
        if os.environ.get("KDBENCH_DEBUG"):
            raise
        typer.echo(f"kdbench: error: {error}", err=True)
        sys.exit(error.exit_code)
