"""`kdbench verify`: computes runs again and compares them with their records."""

from collections.abc import Callable, Iterator, Sequence
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    MemoryLimitOption,
    TimeLimitOption,
    check_test_set_options,
    command_line,
    make_console,
    with_test_set_options,
)
from kdbench.errors import KdbenchError
from kdbench.plan.options import RunOptions, TestSetOptions

if TYPE_CHECKING:
    from kdbench.records.verification import How, Verification


@with_test_set_options(without=("track", "limit_test", "diagnostics", "style", "workers"))
def verify(
    options: TestSetOptions,
    records: Annotated[
        list[Path],
        typer.Argument(help="Folders of records, RESULTS/TRACK/RUN-TESTSETS, or results folders, for all in them."),
    ],
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain",
            help="Train each run again from its fields and the file of its method, confined as by `kdbench run`. "
            "Without this option, the weights beside the record are evaluated again.",
        ),
    ] = False,
    name: Annotated[str, typer.Option(help="Who verifies; the page shows it (default: your user name).")] = "",
    method: Annotated[
        Path | None, typer.Option(help="File of the method, for --retrain (default: the shipped one of its name).")
    ] = None,
    time_limit: TimeLimitOption = 14400,
    memory_limit: MemoryLimitOption = 16,
) -> None:
    """Compute runs again and compare them with their records.

    The result is written into verification.json beside each record. The verdict is "equal" if every number is the same
    bit for bit, "within tolerance" if no more differs than another machine may change by rounding, or else "different".
    The exit code is 1 if a record is different, and 2 if one could not be verified. The device is that of each record,
    unless --device names another.
    """
    from kdbench.jobs.verification import copies_of_official, records_to_verify

    check_test_set_options(options)
    run_options = RunOptions(
        **vars(options),
        methods=(str(method),) if method else (),
        time_limit=time_limit,
        memory_limit=memory_limit,
        command=command_line(),
    )
    folders = [folder for path in records for folder in records_to_verify(path.resolve())]
    copies = set() if retrain else copies_of_official(folders)
    if 0 < len(copies) < len(folders):
        typer.echo(
            f"{len(copies)} official records have no weights of their own and are left out; --retrain trains their "
            "runs again"
        )
        folders = [folder for folder in folders if folder not in copies]
    codes = list(_verify(folders, "retrained" if retrain else "evaluated", name or getuser(), run_options))
    if any(codes):
        raise typer.Exit(1 if 1 in codes else 2)


def _verify(folders: Sequence[Path], how: "How", by: str, options: RunOptions) -> Iterator[int]:
    """Verify records one after the other, print what comes of it, and yield an exit code for each."""
    from kdbench.jobs.verification import verify

    console = make_console()
    for folder in folders:
        try:
            verification = verify(folder, how, by, options, console)
        except KdbenchError as error:
            if len(folders) == 1:
                raise
            typer.echo(f"{folder.name}: not verified: {error}", err=True)
            yield error.exit_code
        else:
            _print(folder, verification, typer.echo)
            yield 1 if verification.verdict == "different" else 0


def _print(folder: Path, verification: "Verification", print_line: Callable[[str], None]) -> None:
    differences, tolerance = verification.differences, verification.tolerance
    print_line(f"{folder.name}: {verification.words}")
    print_line(
        f"  macro accuracy differs by at most {differences.accuracy:.4f} ({differences.accuracy_on}); "
        f"allowed: at most {tolerance.accuracy}"
    )
    print_line(
        f"  at most {differences.answers:.2%} of the images got another class ({differences.answers_on}); "
        f"allowed: at most {tolerance.answers:.0%}"
    )
    print_line(f"  probabilities differ by at most {differences.probability:.2g}")
    for what, equal in (("weights", differences.weights), ("counts of steps and images", differences.counts)):
        if equal is not None:
            print_line(f"  the {what} are {'the same' if equal else 'others'}")
