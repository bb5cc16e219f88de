"""From records to the page: scores.json, then the site."""

from pathlib import Path

from kdbench.errors import InputError
from kdbench.leaderboard.render import render_site
from kdbench.plan.current import read_current
from kdbench.records import find_records, read_record
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.testsets.gallery import GALLERY, read_gallery
from kdbench.testsets.spec import load_spec

SCORES, TIMING = "scores.json", "timing.json"


def recorded(results: Path) -> list[Path]:
    """Folders of the records below `results`; InputError if there are none."""
    folders = find_records(results)
    if not folders:
        raise InputError(f"there are no records in {results}; `kdbench run` makes some, or name another folder")
    return folders


def publish(results: Path, site: Path, spec_path: Path | None = None) -> tuple[Path, Scores]:
    """Scores all records below `results`, writes `scores.json` there, and renders the page.

    Returns:
        The page's path, and what it shows.

    Raises:
        InputError: there are no records.
        RecordError: a record cannot be read.
        WriteError: a file cannot be written.
    """
    folders = recorded(results)
    spec = load_spec(spec_path)
    scores = score(results, spec, current=read_current(results))
    write_scores(scores, results / SCORES)
    timing = results / TIMING
    old = {(one.track, name) for one in scores.superseded for name in one.records}
    records = [read_record(folder) for folder in folders if (folder.parent.name, folder.name) not in old]
    galleries = {track: read_gallery(results / track / GALLERY) for track in sorted({r.track for r in records})}
    page = render_site(
        scores,
        records,
        site.resolve(),
        spec=spec,
        gallery={track: pictures for track, pictures in galleries.items() if pictures},
        timing=timing if timing.exists() else None,
    )
    return page, scores
