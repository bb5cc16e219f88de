"""`kdbench submit`: checks what a reviewer would, and writes the folder of a pull request."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.method_files import WIDTH, MethodFileArgument
from kdbench.cli.options import DEFAULT_OUT, ResultsArgument, TrackOption, check_can_write
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.review.points import ReviewPoint

DEFAULT_TO = Path("submission")


def submit(
    method: MethodFileArgument,
    results: ResultsArgument = DEFAULT_OUT,
    track: TrackOption = "synthetic",
    authors: Annotated[
        list[str] | None, typer.Option("--author", help="An author of the submission. May be repeated.")
    ] = None,
    citation: Annotated[str, typer.Option(help="How to cite the method, on one line.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the method file, such as MIT.")] = "",
    to: Annotated[Path, typer.Option(help="Folder to write the pull request into.")] = DEFAULT_TO,
) -> None:
    """Check what a reviewer would of a method and its records, and write the folder of a pull request.

    The folder has the method file, its records with those of the teachers and independents that they are compared
    with, what you state of it, the scores, and the text of the request. If a check fails, the command says what to do,
    writes nothing, and exits with 1. The file's code runs in a process of its own, which is confined.
    """
    from kdbench.jobs.checker import check_method_file
    from kdbench.jobs.invocation import confined_jobs
    from kdbench.plan.options import RunOptions
    from kdbench.review.points import Stated
    from kdbench.review.submitting import SubmissionRequest
    from kdbench.review.submitting import submit as prepare
    from kdbench.testsets.spec import load_spec

    stated = Stated(
        authors=tuple(_line("--author", author) for author in authors or ()),
        citation=_line("--citation", citation),
        licence=_line("--licence", licence),
    )
    check_can_write(to.absolute().parent, "--to")
    spec, (_, describe) = load_spec(), confined_jobs(RunOptions(workers=1))
    request = SubmissionRequest(method, results, track, to, stated)
    prepared = prepare(request, spec, describe, lambda path: check_method_file(path, spec.track("synthetic")).report)
    _print_points(prepared.points)
    if prepared.card is None:
        raise typer.Exit(1)
    typer.echo(
        f"wrote {to}: copy what is in {to / 'repository'} into a checkout of the repository, commit it, and open a "
        f"pull request with the text of {to / 'pull-request.md'}"
    )


def _line(option: str, value: str) -> str:
    """Return the value of an option; InputError if it is not a line that can be shown."""
    from kdbench.errors import plain_text
    from kdbench.records.schema import LONGEST_LINE

    if value != plain_text(value, LONGEST_LINE):
        raise InputError(
            f"{option} {value!r} is not allowed; give one line of at most {LONGEST_LINE} characters, without spaces at "
            "its ends"
        )
    return value


def _print_points(points: "Sequence[ReviewPoint]") -> None:
    for point in points:
        typer.echo(f"{point.judgement:{WIDTH}s}{point.claim}")
        if point.seen:
            typer.echo(f"{'':{WIDTH}s}  {point.seen}")
        if point.judgement == "failed":
            typer.echo(f"{'':{WIDTH}s}  to do: {point.remedy}")
    failed = sum(point.judgement == "failed" for point in points)
    typer.echo(f"{failed} of {len(points)} checks failed; nothing was written" if failed else "no check failed")
