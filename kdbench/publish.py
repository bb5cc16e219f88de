"""From records to the page: scores.json, then the site."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kdbench.errors import InputError
from kdbench.leaderboard.render import render_site
from kdbench.leaderboard.stimuli import Gallery
from kdbench.records import atomic_file, find_records, read_record
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.scores import Scores
from kdbench.spec import Track, load_spec
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.contact_sheet import gallery

SCORES, GALLERY, TIMING = "scores.json", "gallery.npz", "timing.json"


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
    scores = score(results, spec)
    write_scores(scores, results / SCORES)
    timing = results / TIMING
    old = {(one.track, name) for one in scores.superseded for name in one.records}
    records = [read_record(folder) for folder in folders if (folder.parent.name, folder.name) not in old]
    galleries = {track: _read_gallery(results / track / GALLERY) for track in sorted({r.track for r in records})}
    page = render_site(
        scores,
        records,
        site.resolve(),
        spec=spec,
        gallery={track: pictures for track, pictures in galleries.items() if pictures},
        timing=timing if timing.exists() else None,
    )
    return page, scores


def write_gallery(results: Path, track_name: str, track: Track, arrays: Mapping[str, TestArrays]) -> None:
    """Keeps a few pictures of every test set of the spec beside the records, for the page."""
    pictures = gallery({one.name: arrays[one.name] for one in track.test_sets if one.name in arrays}, data=track.data)
    targets = np.arange(track.data.num_classes)
    with atomic_file(results / track_name / GALLERY) as file:
        np.savez_compressed(file, **pictures, targets=targets, classes=np.array(class_names(track)))  # type: ignore[arg-type]


def class_names(track: Track) -> tuple[str, ...]:
    """What the classes of a track are called."""
    if track.data.source == "cifar10":
        from kdbench.data.cifar10 import CLASSES

        return CLASSES
    from kdbench.data.synthetic import SHAPE_NAMES, TEXTURE_NAMES

    return tuple(f"{shape}, {texture}" for shape, texture in zip(SHAPE_NAMES, TEXTURE_NAMES, strict=True))


def _read_gallery(path: Path) -> Gallery | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            targets, classes = arrays["targets"], tuple(str(name) for name in arrays["classes"])
            sets = {name: (arrays[name], targets) for name in arrays.files if name not in ("targets", "classes")}
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); delete it, and 'kdbench run' makes it again") from error
    return Gallery(sets=sets, class_names=classes)
