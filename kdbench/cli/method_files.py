"""`kdbench new` and `kdbench check`: begins a method file, and checks one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.values import one_of
from kdbench.errors import InputError

if TYPE_CHECKING:
    from kdbench.checks.report import CheckReport
    from kdbench.methods.inquiries import Description

MethodFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The method file.")]
KINDS = ("loss", "step", "prepare")
WIDTH = 8  # of the column of outcomes


def new(
    name: Annotated[str, typer.Argument(help="Name of the method: lower-case letters, digits, - and _.")],
    kind: Annotated[
        str,
        typer.Option(
            help="What the method needs: a loss, a training step of its own, or a stage before the training "
            f"({', '.join(KINDS)})."
        ),
    ] = "loss",
    folder: Annotated[Path, typer.Option(help="Folder to write both files into.")] = Path(),
) -> None:
    """Write a method file that runs, and its test, to begin with."""
    from kdbench.methods.scaffolding import write_method

    chosen = one_of("--kind", KINDS)(kind)
    for path in write_method(name, chosen, folder):
        typer.echo(f"wrote {path}")
    typer.echo(f"check it with: kdbench check {folder / f'{name}.py'}")


def check(
    method: MethodFileArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a method file in short trainings, which take about half a minute.

    Exits with 1 if a check fails. The file's code runs in a process of its own, which is confined.
    """
    check_and_print(method, as_json=as_json)


def check_and_print(method: Path, *, as_json: bool = False) -> "Description":
    """Check a method file, print the findings as a table or as JSON, and return what describes the method.

    Raises:
        InputError: there is no such file.
        typer.Exit: a check failed.
    """
    from kdbench.jobs.checker import check_method_file
    from kdbench.testsets.spec import load_spec

    if not method.is_file():
        raise InputError(f"method file {method} does not exist; give the path of a .py file")
    checked = check_method_file(method, load_spec().track("synthetic"))
    if as_json:
        typer.echo(json.dumps(checked.report.in_words(), indent=1))
    else:
        _print_table(checked.report)
    if checked.report.failed or checked.description is None:
        raise typer.Exit(1)
    return checked.description


def _print_table(report: "CheckReport") -> None:
    from kdbench.checks.report import CLAIMS

    for finding in report.findings:
        claim = CLAIMS[finding.check]
        typer.echo(f"{finding.outcome:{WIDTH}s}{claim.claim}")
        place = f"{finding.place}: " if finding.place else ""
        if finding.seen:
            typer.echo(f"{'':{WIDTH}s}  {place}{finding.seen}")
        if finding.outcome == "failed":
            typer.echo(f"{'':{WIDTH}s}  to do: {claim.remedy}")
    skipped = sum(finding.outcome == "skipped" for finding in report.findings)
    left_out = f", {skipped} were not made" if skipped else ""
    counted = f"{len(report.failed)} of {len(report.findings)} checks failed" if report.failed else "all checks passed"
    typer.echo(f"{counted}{left_out}")
