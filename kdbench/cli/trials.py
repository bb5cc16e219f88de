"""`kdbench try`: checks a method file, then trains it on little data, and prints what its students took over."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.method_files import MethodFileArgument, check_and_print
from kdbench.cli.options import check_can_write, command_line
from kdbench.cli.run import run_and_publish
from kdbench.cli.values import whole_number

if TYPE_CHECKING:
    from kdbench.scoring.scores import Board, Row, Scores

DEFAULT_TRIALS = Path("trials")
SYMBOLS = {"architecture": "alpha", "planted": "tau"}
EXPLAINED = (
    "alpha is the share of what the other architecture brings that the student took over, and tau that of planted cues."
)


def try_(
    method: MethodFileArgument,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the records and the page of trials; methods that share it share its teachers."),
    ] = DEFAULT_TRIALS,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=whole_number("--workers", least=1),
            metavar="<int>",
            help="Number of runs at a time (default: one per CPU core).",
        ),
    ] = None,
) -> None:
    """Check a method file, then train it on little data and print what its students took over.

    Takes a few minutes on two CPU cores; a second method takes less, since the teachers are there already. The runs
    are not official and never ranked. The page shows them, and the official rows where official records are present.
    """
    from kdbench.methods.files import read_method_file
    from kdbench.plan.overrides import track_as_run
    from kdbench.plan.trial import trial_options
    from kdbench.records import find_records
    from kdbench.records.official import official_folder

    check_can_write(out, "--out")
    description = check_and_print(method)
    options = trial_options(method, description.directions, out, command_line(), workers)
    official = [official_folder()] if find_records(official_folder()) else []
    scores = run_and_publish(options, out / "site", mlflow=False, more_results=official)
    track, _ = track_as_run(options)
    for line in trial_lines(scores, read_method_file(method).code, track.training_digest):
        typer.echo(line)
    rows = "also shows the official rows" if official else f"has no official rows: {official_folder()} has no records"
    typer.echo(
        f"This was a trial of {options.epochs} epochs on {options.limit_train} images with one seed: nothing of it is "
        f"ranked, and intervals cover images only. The page {rows}."
    )


def trial_lines(scores: "Scores", code: str, training_digest: str) -> Iterator[str]:
    """Yield a line for each direction of a method that was tried, and then what its numbers are.

    Args:
        scores: of all records that the page shows.
        code: digest of the method's code.
        training_digest: of the trial's track.
    """
    from kdbench.cli.boards import number

    boards = [board for board in scores.boards if board.training_digest == training_digest]
    for direction in dict.fromkeys(board.direction for board in boards):
        rows = {board.question: _row(board, code) for board in boards if board.direction == direction}
        tried = [row for row in rows.values() if row is not None]
        if tried:
            shares = [_share(question, row) for question, row in rows.items() if row is not None]
            clean = [number(row.clean) for row in (tried[0], _independent(boards, direction)) if row and row.clean]
            accuracy = ", without a teacher ".join(clean)
            yield f"{direction}: {', '.join([*shares, f'clean accuracy {accuracy}'])}"
    yield EXPLAINED


def _row(board: "Board", code: str) -> "Row | None":
    return next((row for row in board.rows if row.code == code and row.kind == "method"), None)


def _independent(boards: "list[Board]", direction: str) -> "Row | None":
    rows = [row for board in boards if board.direction == direction for row in board.rows]
    return next((row for row in rows if row.kind == "independent"), None)


def _share(question: str, row: "Row") -> str:
    """Return alpha or tau with its interval, or the reason why it is undefined."""
    from kdbench.cli.boards import with_interval
    from kdbench.scoring.estimates import Undefined

    if row.transfer is None:
        return f"no {SYMBOLS[question]}, since the method uses no teacher"
    reason = f" ({row.transfer.reason})" if isinstance(row.transfer, Undefined) else ""
    return f"{SYMBOLS[question]} {with_interval(row.transfer).rstrip('*')}{reason}"
