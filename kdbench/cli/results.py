"""`kdbench score` and `kdbench leaderboard`: score the records and render them as a page."""

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SITE,
    OutOption,
    SiteOption,
    SpecOption,
    check_can_write,
    make_console,
)


def score(
    results: Annotated[Path, typer.Argument(help="Folder of the records.")] = DEFAULT_OUT,
    spec: SpecOption = None,
) -> None:
    """Compute scores.json from the records and print the boards."""
    from kdbench.cli.boards import print_boards
    from kdbench.records import require_records
    from kdbench.records.current import read_current
    from kdbench.scoring.board import score as score_records
    from kdbench.scoring.board import write_scores
    from kdbench.testsets.spec import load_spec

    require_records(results)
    scores = score_records(results, load_spec(spec), current=read_current(results))
    write_scores(scores, results / "scores.json")
    print_boards(scores, make_console())


def leaderboard(out: OutOption = DEFAULT_OUT, site: SiteOption = DEFAULT_SITE, spec: SpecOption = None) -> None:
    """Score the records and render the static page."""
    check_can_write(site, "--site")
    score_and_render(out, spec, site)


def score_and_render(results: Path, spec: Path | None, site: Path) -> None:
    """Score the records below a folder, render the page, and print where it is."""
    from kdbench.cli.boards import print_not_scored
    from kdbench.leaderboard.publish import publish

    page, scores = publish(results, site, spec)
    print_not_scored(scores, make_console())
    typer.echo(f"leaderboard: {page}")
