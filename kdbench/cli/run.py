"""`kdbench run`: trains, evaluates, scores and renders."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SITE,
    MemoryLimitOption,
    OutOption,
    SiteOption,
    TimeLimitOption,
    check_can_write,
    check_test_set_options,
    command_line,
    make_console,
    split_names,
    warn_of,
    with_test_set_options,
)
from kdbench.cli.results import score_and_render
from kdbench.cli.tracking import mirror_records
from kdbench.cli.values import number, one_of, whole_number
from kdbench.errors import KdbenchError
from kdbench.plan.options import (
    CONTROL_CHOICES,
    NO_CONTROLS,
    PAIR_WEIGHTS,
    RANDOM_WEIGHTS,
    SUITES,
    RunOptions,
    TestSetOptions,
)

if TYPE_CHECKING:
    from kdbench.scoring.scores import Scores

RUNS_ARE_LEFT = 3  # exit code
MLFLOW_PATIENCE = 1.0  # seconds

MethodsInsteadOption = Annotated[
    str, typer.Option(help="Names or .py files of methods, separated by commas, instead of a suite.")
]
SuiteOption = Annotated[
    str | None,
    typer.Option(
        parser=one_of("--suite", SUITES),
        metavar=f"<{'|'.join(SUITES)}>",
        help="Methods to run beside independent: quick is logit matching (lm), core the six methods of the paper, "
        "and full all methods that ship (default: core).",
    ),
]
QuestionsOption = Annotated[
    str,
    typer.Option(
        help="What is swapped between two students: architecture (a natural teacher of the other family for one of "
        "the student's own), planted (two teachers with different planted cues), or both, separated by a comma."
    ),
]
DirectionsOption = Annotated[
    str,
    typer.Option(help="cnn-to-vit, vit-to-cnn, or both, separated by a comma (default: all directions of the track)."),
]
PairOption = Annotated[
    str,
    typer.Option(
        metavar="TEACHER:STUDENT",
        help="Two networks of timm in place of the track's own, such as resnet18:deit_tiny_patch16_224: a CNN, and a "
        "network with attention or of tokens, in either order. For the question architecture, a teacher of the network "
        "named first is swapped for one of the student's own network; for planted, two teachers of the network named "
        "first are swapped. --directions cnn-to-vit,vit-to-cnn asks in both directions, with the same teachers. The "
        "boards are of the open division: apart from those of the track, and never official (see docs/pairs.md).",
    ),
]
PairArgumentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--pair-argument",
        metavar="<text>",
        help="Argument of timm.create_model for a network of --pair, written teacher.KEY=VALUE or student.KEY=VALUE, "
        "for example student.patch_size=4. May be repeated.",
    ),
]
PairWeightsOption = Annotated[
    str,
    typer.Option(
        parser=one_of("--pair-weights", PAIR_WEIGHTS),
        metavar=f"<{'|'.join(PAIR_WEIGHTS)}>",
        help="Weights from which the networks of --pair start: random ones, or those that timm publishes for both.",
    ),
]
SeedsOption = Annotated[str, typer.Option(help="Random seeds: 0, or 0,1,2, or 0-4.")]
ConfigsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        help="Setting of a method, written METHOD.KEY=VALUE, for example lm.temperature=2, or several values, each of "
        "which makes a row: lm.temperature=1,2,4. Values are TOML. May be repeated; all combinations are run.",
    ),
]
SweepOption = Annotated[
    Path | None,
    typer.Option(help="TOML file with settings: a table per method, in which a list gives several values of a key."),
]
LimitTrainOption = Annotated[
    int | None,
    typer.Option(
        parser=whole_number("--limit-train", least=10),
        metavar="<int>",
        help="Maximum images of the training set, at least 10; makes runs unofficial.",
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option(
        parser=whole_number("--epochs", least=1),
        metavar="<int>",
        help="Epochs of teachers and students; makes runs unofficial.",
    ),
]
CompileOption = Annotated[
    bool | None,
    typer.Option(
        help="Compile the networks with torch.compile before training, which rounds differently, so compiled runs "
        "have rows of their own (default: as the track says; both CIFAR-10 tracks compile on a GPU)."
    ),
]
DiagnosticsOption = Annotated[
    bool | None,
    typer.Option(
        help="Evaluate on the diagnostic test sets and compute occlusion maps (default: only with --controls)."
    ),
]
ControlsOption = Annotated[
    str,
    typer.Option(
        metavar=f"<{'|'.join(CONTROL_CHOICES)}>",
        help="Control arms to run as well, which are never ranked: basic ones rule out explanations (random "
        "teachers, label smoothing, more views or epochs without a teacher, an attack that reads one bit of its "
        "teacher), and frontier ones vary settings and losses of methods. Or names of controls, separated by commas "
        "(see benchmark/controls/README.md).",
    ),
]
RetryFailedOption = Annotated[bool, typer.Option("--retry-failed", help="Repeat the runs that failed.")]
SandboxOption = Annotated[
    str,
    typer.Option(
        parser=one_of("--sandbox", ("auto", "off")),
        metavar="<auto|off>",
        help="Whether the kernel restricts what the code of a method may read, write and start: auto restricts it "
        "as far as this machine allows; off does not restrict it, and makes runs unofficial.",
    ),
]
StopAfterOption = Annotated[
    float | None,
    typer.Option(
        parser=number("--stop-after", least=0.01),
        metavar="<minutes>",
        help="Minutes after which no run starts and those under way save a checkpoint and stop. If runs are left, "
        "the exit code is 3, and the same command goes on with them.",
    ),
]
MlflowOption = Annotated[bool, typer.Option(help="Mirror the records into MLflow.")]


@with_test_set_options(without=("diagnostics",))
def run(
    options: TestSetOptions,
    methods: MethodsInsteadOption = "",
    suite: SuiteOption = None,
    questions: QuestionsOption = "architecture",
    directions: DirectionsOption = "",
    pair: PairOption = "",
    pair_arguments: PairArgumentsOption = None,
    pair_weights: PairWeightsOption = RANDOM_WEIGHTS,
    seeds: SeedsOption = "0",
    configs: ConfigsOption = None,
    sweep: SweepOption = None,
    out: OutOption = DEFAULT_OUT,
    limit_train: LimitTrainOption = None,
    epochs: EpochsOption = None,
    compile: CompileOption = None,
    diagnostics: DiagnosticsOption = None,
    controls: ControlsOption = NO_CONTROLS,
    retry_failed: RetryFailedOption = False,
    time_limit: TimeLimitOption = 14400,
    memory_limit: MemoryLimitOption = 16,
    sandbox: SandboxOption = "auto",
    stop_after: StopAfterOption = None,
    site: SiteOption = DEFAULT_SITE,
    mlflow: MlflowOption = True,
) -> None:
    """Train, evaluate, score and render the leaderboard.

    Runs that have a record are not trained again, but evaluated once more if their record lacks answers; all records
    are scored.
    """
    from kdbench.plan.pairs import with_pair

    stop_at = None if stop_after is None else monotonic() + 60 * stop_after
    check_test_set_options(options)
    check_can_write(site, "--site")
    run_options = RunOptions(
        **{**vars(options), "diagnostics": diagnostics},
        methods=split_names(methods),
        suite=suite,
        questions=split_names(questions),
        directions=split_names(directions),
        seeds=seeds,
        configs=configs or (),
        sweep=sweep,
        out=out,
        limit_train=limit_train,
        epochs=epochs,
        controls=controls,
        retry_failed=retry_failed,
        time_limit=time_limit,
        memory_limit=memory_limit,
        compile=compile,
        command=command_line(),
        sandbox=sandbox == "auto",
        stop_at=stop_at,
    )
    run_options = with_pair(run_options, pair, pair_arguments or (), pair_weights)
    run_and_publish(run_options, site, mlflow=mlflow)


def run_and_publish(options: RunOptions, site: Path, *, mlflow: bool, more_results: Sequence[Path] = ()) -> "Scores":
    """Do the runs, score and render their records with those of other results folders, and mirror them.

    Args:
        options: what to run.
        site: folder of the page.
        mlflow: whether to mirror.
        more_results: results folders whose records the page shows, too.

    Returns:
        What the page shows.

    Raises:
        typer.Exit: the time is up, and runs are left.
        KdbenchError: a run failed. The error is raised at the end, so that the other runs are on the page.
    """
    from kdbench.jobs.invocation import run as run_benchmark
    from kdbench.records import LOG, find_records, record_folder
    from kdbench.scoring.board import require_boards

    progressed = run_benchmark(options, make_console())
    if not progressed.left or find_records(options.out):
        scores = score_and_render([options.out, *more_results], options.spec, site)
        if mlflow:
            _mirror(options, scores)
        require_boards(scores, [options.out])
    if progressed.left:
        typer.echo(f"kdbench: {progressed}")
        raise typer.Exit(RUNS_ARE_LEFT)
    failed = [record for record in progressed.records if record.status != "ok"]
    if failed:
        again = "the same command" if options.retry_failed else "--retry-failed"
        first = failed[0]
        folder = record_folder(options.out, first.track, first.run_id, first.digests.testsets)
        raise KdbenchError(
            f"{len(failed)} of {len(progressed.records)} runs failed; first: {first.method}, {first.reason}; its log is"
            f" {folder / LOG}; {again} runs them again"
        )
    return scores


def _mirror(options: RunOptions, scores: "Scores") -> None:
    """Mirror all records into MLflow; where it does not answer at once, say how to do that later."""
    warning = mirror_records(options.out, options.spec, scores=scores, patience=MLFLOW_PATIENCE)
    warn_of(*([warning] if warning else []))
