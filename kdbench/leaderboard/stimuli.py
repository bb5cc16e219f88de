"""The gallery of test images: one column per image, one row per manipulation."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kdbench.data.array_types import Images
from kdbench.leaderboard import wording
from kdbench.spec import Data, Spec, TestSet
from kdbench.testsets.gallery import Gallery
from kdbench.testsets.kinds import kind_of

_MAX_COLUMNS = 10


@dataclass(frozen=True)
class StimulusStrip:
    """The images of one manipulation side by side in one PNG.

    Attributes:
        picture: data URI.
        width, height: pixels.
    """

    name: str
    caption: str
    picture: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class TrackStimuli:
    """The gallery of one track; `columns` are the class names."""

    track: str
    columns: tuple[str, ...]
    strips: tuple[StimulusStrip, ...]


def track_stimuli(galleries: Mapping[str, Gallery], spec: Spec) -> tuple[TrackStimuli, ...]:
    """Return the galleries of all tracks that have pictures, sorted by the names of the tracks."""
    return tuple(_track(name, galleries[name], spec) for name in sorted(galleries) if galleries[name].sets)


def _track(name: str, gallery: Gallery, spec: Spec) -> TrackStimuli:
    track = spec.tracks.get(name)
    known = {test_set.name: test_set for test_set in track.test_sets} if track else {}
    order = [set_name for set_name in known if set_name in gallery.sets] + sorted(set(gallery.sets) - set(known))
    first = gallery.sets["clean" if "clean" in gallery.sets else order[0]][1][:_MAX_COLUMNS]
    columns = tuple(gallery.class_names[int(target)] for target in first)
    data = track.data if track else None
    strips = tuple(_strip(set_name, gallery, known.get(set_name), columns, data) for set_name in order)
    return TrackStimuli(name, columns, strips)


def _strip(
    name: str, gallery: Gallery, test_set: TestSet | None, columns: tuple[str, ...], data: Data | None
) -> StimulusStrip:
    images = np.asarray(gallery.sets[name][0][: len(columns)], dtype=np.uint8)
    title = set_words(name, test_set, data)
    joined = np.concatenate(list(images), axis=1)
    alt = f"{title}: {', '.join(columns[: len(images)])}"
    caption = caption_of(test_set, data) if test_set and data else ""
    return StimulusStrip(title, caption, _data_uri(joined), joined.shape[1], joined.shape[0], alt)


def _data_uri(image: Images) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def set_words(name: str, test_set: TestSet | None, data: Data | None) -> str:
    """Return the name of a test set for people: `Scramble 4×4`.

    Args:
        name: of the set.
        test_set, data: the set and its track's data; None if the spec has no such set.
    """
    if test_set is None or data is None:
        return name
    return kind_of(test_set, data).title(test_set, wording.AXIS_NAMES[test_set.axis])


def caption_of(test_set: TestSet, data: Data) -> str:
    """Return how the images of a set were changed and what still shows the class, given the data of its track."""
    diagnostic = " This set is a diagnostic: no score includes it." if test_set.diagnostic else ""
    return kind_of(test_set, data).caption(test_set) + diagnostic
