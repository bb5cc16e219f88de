"""`kdbench score`, `leaderboard`, `forget` and `results`: score, render, remove, pack, merge and fetch the records."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SITE,
    JsonOption,
    ResultsArgument,
    SeveralResultsArgument,
    SiteOption,
    SpecOption,
    check_can_write,
    make_console,
    warn_of,
)
from kdbench.cli.values import sha256_digest
from kdbench.errors import KdbenchError

if TYPE_CHECKING:
    from kdbench.packs.merging import Merged
    from kdbench.scoring.scores import Scores

DestinationArgument = Annotated[Path, typer.Argument(metavar="RESULTS", help="Results folder to put the records into.")]

app = typer.Typer(
    help="Take a results folder to another machine, or begin one with the records of others.",
    epilog="Example: kdbench results pack board.zip",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def score(results: SeveralResultsArgument, spec: SpecOption = None, as_json: JsonOption = False) -> None:
    """Score the records, print the boards, and write scores.json into the first results folder.

    With --json, what is written is printed instead of the boards.
    """
    from kdbench.cli.boards import print_boards
    from kdbench.scoring.board import require_boards, scores_text
    from kdbench.scoring.folders import score_folders
    from kdbench.testsets.spec import load_spec

    scored = score_folders(results, load_spec(spec))
    if as_json:
        typer.echo(scores_text(scored.scores), nl=False)
    else:
        print_boards(scored.scores, make_console())
    warn_of(*scored.faults, *scored.unwritten)
    require_boards(scored.scores, results)


def leaderboard(results: SeveralResultsArgument, site: SiteOption = DEFAULT_SITE, spec: SpecOption = None) -> None:
    """Score the records, render the static page, and write scores.json into the first results folder."""
    from kdbench.scoring.board import require_boards

    check_can_write(site, "--site")
    require_boards(score_and_render(results, spec, site), results)


def forget(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Name of the method.")],
    results: ResultsArgument = DEFAULT_OUT,
    code: Annotated[
        str, typer.Option(help="Beginning of a digest of the method's code: remove only the records of this code.")
    ] = "",
    spec: SpecOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the records of a method from a results folder.

    Official records stay, and so do those of independent students and teachers, which other rows are compared with.
    """
    from kdbench.jobs.forgetting import forget as remove_records
    from kdbench.jobs.forgetting import forgettable
    from kdbench.testsets.spec import load_spec

    matching = forgettable(results, method, code)
    kept = f"{matching.official} official records of {method} stay in {results}"
    if not matching.folders:
        typer.echo(kept)
        return
    if not yes:
        typer.confirm(f"Remove {len(matching.folders)} records of {method} from {results}?", abort=True)
    remove_records(matching.folders, results, load_spec(spec))
    typer.echo(f"removed {len(matching.folders)} records of {method} from {results}")
    if matching.official:
        typer.echo(kept)


def score_and_render(results: Sequence[Path], spec: Path | None, site: Path) -> "Scores":
    """Score the records below some results folders, render the page, print where it is, and return the scores."""
    from kdbench.cli.boards import print_not_scored
    from kdbench.leaderboard.publish import publish

    published = publish(results, site, spec)
    print_not_scored(published.scores, make_console())
    warn_of(*published.faults)
    typer.echo(f"leaderboard: {published.page}")
    return published.scores


@app.command("pack", epilog="Example: kdbench results pack board.zip runs")
def pack_results(
    path: Annotated[Path, typer.Argument(metavar="PACK", help="File to write (ZIP).")],
    results: ResultsArgument = DEFAULT_OUT,
    with_weights: Annotated[
        bool,
        typer.Option("--with-weights", help="Include the weights of students, which `kdbench verify` needs."),
    ] = False,
    spec: SpecOption = None,
) -> None:
    """Write all that another machine needs to go on into one file.

    The file has the records, the weights of teachers, and what unfinished trainings have saved.
    """
    from kdbench.packs.packing import pack
    from kdbench.testsets.spec import load_spec

    check_can_write(path.parent, "PACK")
    packed = pack(results, path, load_spec(spec), with_weights=with_weights)
    megabytes = path.stat().st_size / 1e6
    typer.echo(
        f"wrote {path}: {packed.records} records and {packed.unfinished} unfinished trainings, {megabytes:.1f} MB; "
        f"`kdbench results merge {path}` puts them into the results folder of another machine"
    )


@app.command("merge", epilog="Example: kdbench results merge board.zip runs")
def merge_results(
    path: Annotated[Path, typer.Argument(metavar="PACK", help="File that `kdbench results pack` wrote.")],
    results: ResultsArgument = DEFAULT_OUT,
    spec: SpecOption = None,
) -> None:
    """Put the records and the unfinished trainings of a pack into a results folder.

    Everything is checked first. A record that is there already stays, unless it is of a run that failed. If records of
    the pack do not fit, the others are merged, and the exit code is 1.
    """
    from kdbench.packs.merging import merge
    from kdbench.testsets.spec import load_spec

    _print_merged(merge(path, results, load_spec(spec)), str(path), results)


@app.command("copy", epilog="Example: kdbench results copy runs")
def copy_results(results: DestinationArgument) -> None:
    """Copy the official records that ship with kdbench into a results folder, so that you can go on from there.

    Your own method then has a row beside the official ones. A record that is there already stays. Runs on a GPU and on
    a CPU have boards of their own.
    """
    from kdbench.packs.copying import copy_official
    from kdbench.testsets.spec import load_spec

    copied = copy_official(results, load_spec())
    _print_merged(copied, "the official records", results)
    typer.echo(
        f"`kdbench run --methods FILE --questions architecture,planted --seeds 0-4 --out {results}` adds the runs of a "
        "method; teachers have no weights here, and those that it needs are trained again"
    )


@app.command("fetch", epilog="Example: kdbench results fetch https://example.org/board.zip runs")
def fetch_results(
    source: Annotated[
        str, typer.Argument(metavar="PACK", help="Address (http or https) or path of a file of `kdbench results pack`.")
    ],
    results: DestinationArgument,
    sha256: Annotated[
        str | None,
        typer.Option(parser=sha256_digest("--sha256"), metavar="<digest>", help="SHA-256 that the pack must have."),
    ] = None,
    spec: SpecOption = None,
) -> None:
    """Download a pack, and put its records and unfinished trainings into a results folder, as `merge` does.

    The proxies of the environment are used. Teachers keep the weights that the pack has, and need no second training.
    """
    from kdbench.packs.fetching import fetch
    from kdbench.testsets.spec import load_spec

    _print_merged(fetch(source, results, load_spec(spec), sha256=sha256), source, results)


def _print_merged(merged: "Merged", source: str, results: Path) -> None:
    """Print what became of records that were merged; KdbenchError if some of them do not fit."""
    typer.echo(
        f"merged {source} into {results}: {len(merged.records)} records and {len(merged.unfinished)} unfinished "
        f"trainings are new, {len(merged.known)} records were there already"
    )
    if merged.kept:
        warn_of(
            f"{results} has other records than {source} of {len(merged.kept)} runs, and they stay; "
            f"first: {merged.kept[0]}"
        )
    if merged.refused:
        name, reason = next(iter(merged.refused.items()))
        raise KdbenchError(
            f"{len(merged.refused)} records of {source} do not fit and were left out; first: {name}, {reason}"
        )
