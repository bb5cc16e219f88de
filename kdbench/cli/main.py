"""The command line: thin commands over the rooms of the package. Heavy imports happen inside the commands that need
them."""

import os
import signal
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.data import app as data_app
from kdbench.cli.options import (
    DataRootOption,
    DeviceOption,
    LimitTestOption,
    MethodsOption,
    OutOption,
    SiteOption,
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
from kdbench.errors import KdbenchError, in_a_sentence

DEFAULT_OUT = Path("runs")
SITE = Path("leaderboard") / "site"
EXAMPLE = "Example: kdbench run --methods lm --seeds 0-4"

app = typer.Typer(
    help="Does a distilled student inherit its teacher's inductive biases, or only its accuracy?",
    epilog=EXAMPLE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    if debug:
        os.environ["KDBENCH_DEBUG"] = "1"


@dataclass(frozen=True)
class RunOptions:
    """The options of `kdbench run`; what `kdbench.jobs.invocation.Asked` has too goes by the same name there."""

    track: TrackOption = "synthetic"
    methods: MethodsOption = ""
    directions: Annotated[str, typer.Option(help="cnn-to-vit, vit-to-cnn, or both with a comma.")] = ""
    seeds: Annotated[str, typer.Option(help="Random seeds: 0, or 0,1,2, or 0-4.")] = "0"
    configs: Annotated[list[str] | None, typer.Option("--config", help="METHOD.KEY=VALUE, as often as needed.")] = None
    out: OutOption = DEFAULT_OUT
    data_root: DataRootOption = None
    limit_train: Annotated[int | None, typer.Option(min=10, help="Training images, at most (unofficial).")] = None
    limit_test: LimitTestOption = None
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of teachers and students (unofficial).")] = None
    device: DeviceOption = "auto"
    weights_dir: WeightsOption = None
    compile: Annotated[bool, typer.Option("--compile", help="Train through torch.compile.")] = False
    style: StyleOption = None
    yes: YesOption = False
    workers: WorkersOption = None
    diagnostics: Annotated[
        bool | None,
        typer.Option(
            help="Evaluate on the diagnostic test sets too, and by occlusion maps; by default with --controls alone."
        ),
    ] = None
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Run the control arms too (random teachers, label smoothing, views and epochs without a teacher; "
            "see benchmark/controls/README.md). They are shown, never ranked.",
        ),
    ] = False
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False
    time_limit: Annotated[float, typer.Option(min=1, help="Seconds that one run may take.")] = 14400
    memory_limit: Annotated[float, typer.Option(min=0.1, help="GiB of memory that one run may take.")] = 16
    spec: SpecOption = None
    site: SiteOption = SITE
    mlflow: Annotated[bool, typer.Option(help="Mirror the records into MLflow.")] = True


@app.command(epilog=EXAMPLE)
@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Train and evaluate what has no record yet, score all records, and render the leaderboard."""
    from kdbench.jobs.invocation import Asked
    from kdbench.jobs.invocation import run as run_benchmark

    check_device(options.device)
    check_weights_dir(options.weights_dir)
    check_can_write(options.site, "--site")
    same = {one.name: getattr(options, one.name) for one in fields(Asked) if one.name != "command"}
    lists = {
        "command": _command(),
        "methods": _listed(options.methods),
        "directions": _listed(options.directions),
        "configs": options.configs or (),
    }
    records = run_benchmark(Asked(**(same | lists)), make_console())
    if options.mlflow and (warning := _mirror(options.out, options.spec)):
        typer.echo(f"kdbench: warning: {warning}", err=True)
    _score_and_render(options.out, options.spec, options.site)
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
    from kdbench.cli.boards import print_boards
    from kdbench.plan.current import read_current
    from kdbench.records import require_records
    from kdbench.scoring.board import score as score_records
    from kdbench.scoring.board import write_scores
    from kdbench.testsets.spec import load_spec

    require_records(results)
    scores = score_records(results, load_spec(spec), current=read_current(results))
    write_scores(scores, results / "scores.json")
    print_boards(scores, make_console())


@app.command(epilog="Example: kdbench leaderboard --out runs --site leaderboard/site")
def leaderboard(
    out: OutOption = DEFAULT_OUT,
    site: SiteOption = SITE,
    spec: SpecOption = None,
) -> None:
    """Score the records and render the static page."""
    check_can_write(site, "--site")
    _score_and_render(out, spec, site)


@app.command(epilog="Example: kdbench track --out runs")
def track(out: OutOption = DEFAULT_OUT, spec: SpecOption = None) -> None:
    """Mirror the records into MLflow; twice is the same as once."""
    from kdbench.records import require_records

    require_records(out)
    if warning := _mirror(out, spec):
        raise KdbenchError(warning)


@app.command(epilog="Example: kdbench ui --port 5000")
def ui(
    out: OutOption = DEFAULT_OUT,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000,
) -> None:
    """Start MLflow's web page on the mirrored records."""
    from kdbench.tracking.server import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the server too, as Ctrl-C does
    serve(out, port, say=typer.echo)


@app.command(epilog="Example: kdbench methods")
def methods() -> None:
    """List the submissions."""
    from kdbench.methods.files import list_submissions
    from kdbench.methods.loading import load_submission

    for name in list_submissions():
        method = load_submission(name)
        typer.echo(f"{name:14s} {' '.join(method.directions):44s} {method.summary}")


@app.command(epilog="Example: kdbench spec")
def spec(path: Annotated[Path | None, typer.Argument(help="A spec file; without it, the shipped one.")] = None) -> None:
    """Check a spec file and print its tracks and digests."""
    from kdbench.testsets.spec import load_spec

    loaded = load_spec(path)
    typer.echo(f"spec {loaded.version}")
    for name, entry in loaded.tracks.items():
        digests = (entry.training_digest, entry.testsets_digest, loaded.scoring_digest(name))
        training, testsets, scoring = (digest[:16] for digest in digests)
        typer.echo(f"{name:12s} training {training}  testsets {testsets}  scoring {scoring}  {entry.summary}")


@app.command(epilog="Example: kdbench timing --out timing.json")
def timing(
    out: Annotated[Path, typer.Option(help="Where the measurements go.")] = DEFAULT_OUT / "timing.json",
    methods: MethodsOption = "",
    tracks: Annotated[str, typer.Option(help="Track names, with commas (default: all that fit).")] = "",
    device: DeviceOption = "auto",
) -> None:
    """Time a training step of every method, and print ratios to independent."""
    from kdbench.timing.suite import run_timing

    check_device(device)
    check_can_write(out.parent, "--out")
    run_timing(out, methods=_listed(methods), tracks=_listed(tracks), device=device, print_line=typer.echo)


def _command() -> str:
    return " ".join(["kdbench", *sys.argv[1:]])


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _mirror(results: Path, spec: Path | None) -> str:
    """Mirrors records and says how many; returns a sentence on what could not be mirrored."""
    from kdbench.testsets.spec import load_spec
    from kdbench.tracking.mirror import mirror

    done = mirror(results, invocation=_command(), spec=load_spec(spec))
    typer.echo(
        f"MLflow: {done.added} records added, {done.replaced} replaced, {done.unchanged} unchanged in {done.uri}"
    )
    return done.warning


def _score_and_render(results: Path, spec: Path | None, site: Path) -> None:
    from kdbench.cli.boards import print_superseded
    from kdbench.leaderboard.publish import publish

    page, scores = publish(results, site, spec)
    print_superseded(scores, make_console())
    typer.echo(f"leaderboard: {page}")


def main() -> None:
    """Runs the command line: one sentence on standard error and a non-zero exit code for every error a user can
    mend."""
    try:
        app()
    except Exception as error:
        if os.environ.get("KDBENCH_DEBUG"):
            raise
        if isinstance(error, KdbenchError):
            typer.echo(f"kdbench: error: {error}", err=True)
            sys.exit(error.exit_code)
        typer.echo(
            f"kdbench: error: unexpected {in_a_sentence(error)}; with `kdbench --debug ...` it says where", err=True
        )
        sys.exit(1)
