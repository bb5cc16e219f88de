"""Makes the page from records: `scores.json`, then the site."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import read_if_whole
from kdbench.leaderboard.confusion import Counts, confusion_counts
from kdbench.leaderboard.provenance import record_key
from kdbench.leaderboard.render import render_site
from kdbench.records import Record, find_records, read_predictions, read_record
from kdbench.records.verification import read_verification
from kdbench.scoring.folders import score_folders
from kdbench.scoring.scores import Scores
from kdbench.spec import Spec
from kdbench.testsets.gallery import GALLERY, read_gallery
from kdbench.testsets.spec import load_spec
from kdbench.timing.step_times import read_timings

SCORES, TIMING = "scores.json", "timing.json"


@dataclass(frozen=True)
class Published:
    """A page that was rendered.

    Attributes:
        page: its path.
        scores: that it shows.
        faults: a sentence about each file, other than records, that could not be read or written.
    """

    page: Path
    scores: Scores
    faults: tuple[str, ...]


def publish(results: Sequence[Path], site: Path, spec_path: Path | None = None) -> Published:
    """Score all records below some results folders, write `scores.json` into the first one, and render the page.

    The page shows all that can be read, and names the records and the other files that cannot.

    Raises:
        InputError: a results folder has no records.
        WriteError: the page cannot be written.
    """
    spec = load_spec(spec_path)
    scored = score_folders(results, spec)
    scores = scored.scores
    kept = [folder for folder in find_records(*results) if (folder.parent.name, folder.name) not in scores.left_out]
    records = [read_record(folder) for folder in kept]
    stored = list(zip(kept, records, strict=True))
    verified = ((record, read_verification(folder, record)) for folder, record in stored)
    tracks = sorted({record.track for record in records})
    faults = list(scored.faults)
    galleries = {track: read_if_whole(read_gallery, _first(results, f"{track}/{GALLERY}"), faults) for track in tracks}
    answers = {record_key(record): _answers(folder, record, spec) for folder, record in stored if record.test}
    timing = _first(results, TIMING)
    page = render_site(
        scores,
        records,
        site.resolve(),
        spec=spec,
        gallery={track: pictures for track, pictures in galleries.items() if pictures},
        timings=read_if_whole(read_timings, timing, faults) if timing.exists() else None,
        verifications={record_key(record): verification for record, verification in verified if verification},
        answers=answers,
        faults=faults,
    )
    return Published(page, scores, (*faults, *scored.unwritten))


def _answers(folder: Path, record: Record, spec: Spec) -> Counts:
    """Return which classes a network took for which; empty for a track that the spec does not have."""
    track = spec.tracks.get(record.track)
    return confusion_counts(read_predictions(folder, record), track.data.num_classes) if track else {}


def _first(results: Sequence[Path], name: str) -> Path:
    """Return the file of this name in the first results folder that has it, or else its place in the last one."""
    places = [folder / name for folder in results]
    return next((place for place in places if place.exists()), places[-1])
