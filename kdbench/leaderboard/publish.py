"""Makes the page from records: `scores.json`, then the site."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.leaderboard.provenance import record_key
from kdbench.leaderboard.render import render_site
from kdbench.records import read_record, require_records
from kdbench.records.current import read_current
from kdbench.records.verification import read_verification
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.testsets.gallery import GALLERY, read_gallery
from kdbench.testsets.spec import load_spec

SCORES, TIMING = "scores.json", "timing.json"


def publish(results: Sequence[Path], site: Path, spec_path: Path | None = None) -> tuple[Path, Scores]:
    """Score all records below some results folders, write `scores.json` into the first one, and render the page.

    Returns:
        The page's path, and what it shows.

    Raises:
        InputError: a results folder has no records.
        RecordError: a record cannot be read.
        WriteError: a file cannot be written.
    """
    folders = require_records(*results)
    spec = load_spec(spec_path)
    scores = score(results, spec, current=read_current(*results))
    write_scores(scores, results[0] / SCORES)
    kept = [folder for folder in folders if (folder.parent.name, folder.name) not in scores.left_out]
    records = [read_record(folder) for folder in kept]
    verified = ((record, read_verification(folder, record)) for folder, record in zip(kept, records, strict=True))
    tracks = sorted({record.track for record in records})
    galleries = {track: read_gallery(_first(results, f"{track}/{GALLERY}")) for track in tracks}
    timing = _first(results, TIMING)
    page = render_site(
        scores,
        records,
        site.resolve(),
        spec=spec,
        gallery={track: pictures for track, pictures in galleries.items() if pictures},
        timing=timing if timing.exists() else None,
        verifications={record_key(record): verification for record, verification in verified if verification},
    )
    return page, scores


def _first(results: Sequence[Path], name: str) -> Path:
    """Return the file of this name in the first results folder that has it, or else its place in the last one."""
    places = [folder / name for folder in results]
    return next((place for place in places if place.exists()), places[-1])
