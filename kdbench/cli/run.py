"""`kdbench run`: trains, evaluates, scores and renders."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SITE,
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
    check_style,
    check_weights_dir,
    command_line,
    make_console,
    split_names,
)
from kdbench.cli.results import score_and_render
from kdbench.cli.tracking import mirror_records
from kdbench.errors import KdbenchError
from kdbench.plan.options import RunOptions


class Sandbox(StrEnum):
    """The values of --sandbox."""

    AUTO = "auto"
    OFF = "off"


def run(
    track: TrackOption = "synthetic",
    methods: MethodsOption = "",
    directions: Annotated[
        str,
        typer.Option(
            help="cnn-to-vit, vit-to-cnn, or both, separated by a comma (default: all directions of the track)."
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="Random seeds: 0, or 0,1,2, or 0-4.")] = "0",
    configs: Annotated[
        list[str] | None,
        typer.Option(
            "--config", help="Setting of a method as METHOD.KEY=VALUE, for example lm.temperature=2; may be repeated."
        ),
    ] = None,
    out: OutOption = DEFAULT_OUT,
    data_root: DataRootOption = None,
    limit_train: Annotated[
        int | None, typer.Option(min=10, help="Maximum images of the training set; makes runs unofficial.")
    ] = None,
    limit_test: LimitTestOption = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of teachers and students; makes runs unofficial.")
    ] = None,
    device: DeviceOption = "auto",
    weights_dir: WeightsOption = None,
    compile: Annotated[bool, typer.Option("--compile", help="Compile the training step with torch.compile.")] = False,
    style: StyleOption = None,
    yes: YesOption = False,
    workers: WorkersOption = None,
    diagnostics: Annotated[
        bool | None,
        typer.Option(help="Evaluate the diagnostic test sets and occlusion maps too (default: only with --controls)."),
    ] = None,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls",
            help="Run the control arms as well: random teachers, label smoothing, and more views or epochs without a "
            "teacher (see benchmark/controls/README.md). The page shows them, but they are never ranked.",
        ),
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Repeat the runs that failed.")] = False,
    time_limit: Annotated[float, typer.Option(min=1, help="Maximum seconds per run.")] = 14400,
    memory_limit: Annotated[float, typer.Option(min=0.1, help="Maximum GiB of memory per run.")] = 16,
    sandbox: Annotated[
        Sandbox,
        typer.Option(
            help="Whether the kernel restricts what the code of a method may read, write and start: auto restricts it "
            "as far as this machine allows, off does not, and makes runs unofficial."
        ),
    ] = Sandbox.AUTO,
    spec: SpecOption = None,
    site: SiteOption = DEFAULT_SITE,
    mlflow: Annotated[bool, typer.Option(help="Mirror the records into MLflow.")] = True,
) -> None:
    """Train, evaluate, score and render the leaderboard.

    Only runs without a record are trained and evaluated; all records are scored.
    """
    check_device(device)
    check_weights_dir(weights_dir)
    check_style(style)
    check_can_write(site, "--site")
    options = RunOptions(
        track=track,
        spec=spec,
        data_root=data_root,
        weights_dir=weights_dir,
        limit_test=limit_test,
        style=style,
        diagnostics=diagnostics,
        device=device,
        workers=workers,
        yes=yes,
        methods=split_names(methods),
        directions=split_names(directions),
        seeds=seeds,
        configs=configs or (),
        out=out,
        limit_train=limit_train,
        epochs=epochs,
        controls=controls,
        retry_failed=retry_failed,
        time_limit=time_limit,
        memory_limit=memory_limit,
        compile=compile,
        command=command_line(),
        sandbox=sandbox is Sandbox.AUTO,
    )
    _run_and_publish(options, site, mlflow=mlflow)


def _run_and_publish(options: RunOptions, site: Path, *, mlflow: bool) -> None:
    """Do the runs, mirror, score and render all records; KdbenchError, after all that, if a run failed."""
    from kdbench.jobs.invocation import run as run_benchmark

    records = run_benchmark(options, make_console())
    if mlflow and (warning := mirror_records(options.out, options.spec)):
        typer.echo(f"kdbench: warning: {warning}", err=True)
    score_and_render(options.out, options.spec, site)
    failed = [record for record in records if record.status != "ok"]
    if failed:
        raise KdbenchError(
            f"{len(failed)} of {len(records)} runs failed; first: {failed[0].method}, {failed[0].reason}; "
            "--retry-failed runs them again"
        )
