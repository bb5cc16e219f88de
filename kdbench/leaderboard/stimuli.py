"""The stimuli gallery: the same images, a column each, under every manipulation, a row each."""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kdbench.leaderboard import wording
from kdbench.spec import Spec, TestSet
from kdbench.testsets.gallery import Gallery, Images

MAX_COLUMNS = 10


@dataclass(frozen=True)
class Strip:
    """One manipulation: its images side by side in one PNG.

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
    strips: tuple[Strip, ...]


def track_stimuli(galleries: Mapping[str, Gallery], spec: Spec) -> tuple[TrackStimuli, ...]:
    """The galleries of all tracks that have pictures, by the tracks' names."""
    return tuple(_track(name, galleries[name], spec) for name in sorted(galleries) if galleries[name].sets)


def _track(name: str, gallery: Gallery, spec: Spec) -> TrackStimuli:
    known = {one.name: one for one in spec.tracks[name].test_sets} if name in spec.tracks else {}
    order = [one for one in known if one in gallery.sets] + sorted(set(gallery.sets) - set(known))
    first = gallery.sets["clean" if "clean" in gallery.sets else order[0]][1][:MAX_COLUMNS]
    columns = tuple(gallery.class_names[int(target)] for target in first)
    natural = name not in spec.tracks or spec.tracks[name].data.source != "synthetic"
    strips = tuple(_strip(one, gallery, known.get(one), columns, natural) for one in order)
    return TrackStimuli(name, columns, strips)


def _strip(name: str, gallery: Gallery, test_set: TestSet | None, columns: tuple[str, ...], natural: bool) -> Strip:
    images = np.asarray(gallery.sets[name][0][: len(columns)], dtype=np.uint8)
    title = set_words(name, test_set)
    joined = np.concatenate(list(images), axis=1)
    alt = f"{title}: {', '.join(columns[: len(images)])}"
    caption = caption_of(test_set, natural) if test_set else ""
    return Strip(title, caption, _data_uri(joined), joined.shape[1], joined.shape[0], alt)


def _data_uri(image: Images) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def set_words(name: str, test_set: TestSet | None) -> str:
    """The name of a test set for people: `Scramble 4×4`."""
    if test_set is None:
        return name
    title = wording.AXIS_NAMES[test_set.axis]
    if test_set.axis == "scramble":
        grid = test_set.parameters.get("grid")
        return f"{title} {grid}×{grid}"
    suffix = name.removeprefix(test_set.axis).strip("-")
    return f"{title} ({suffix})" if suffix and suffix != name else title


def caption_of(test_set: TestSet, natural: bool) -> str:
    """What was done to the images and what is left to go by, in plain language.

    Args:
        test_set: of the spec.
        natural: photographs, not generated images.
    """
    return " ".join(
        (*_captions(test_set, natural), *(("A diagnostic: not part of any score.",) if test_set.diagnostic else ()))
    )


BY_NETWORKS = {
    ("fcn-cut-out", None): "The object as it is, on plain grey: its surroundings are gone.",
    ("vgg19-texture", "field"): "Only the surface is left: texture like the object's own, over the whole frame.",
    ("vgg19-texture", "object"): "Texture like the object's own, laid over the object: its outline stays.",
    ("vgg19-style", None): "The whole image in the style of one picture: shapes stay, surfaces are replaced.",
}  # by rendering and place; silhouettes are silhouettes, whoever found the object


def _captions(test_set: TestSet, natural: bool) -> Iterator[str]:
    parameters = test_set.parameters
    made = (parameters.get("rendering"), parameters.get("place"))
    if made in BY_NETWORKS:
        yield BY_NETWORKS[made]
        return
    match test_set.axis:
        case "clean":
            yield "The images as they are: shape and texture agree."
        case "shape" if natural:
            colours = "white on black" if parameters.get("foreground") == 255 else "black on white"
            yield f"Only the outline is left: the object as a silhouette, {colours}."
            if parameters.get("fallback") == "disc":
                yield "A disc stands in where no object was found."
        case "shape":
            yield "The same outline, filled with noise instead of its texture. Only the shape tells the class."
        case "texture" if natural:
            yield "Only the surface is left: patches from inside the object, stitched into a field without its outline."
        case "texture":
            where = "over the whole frame" if test_set.diagnostic else "in a blob that is no class's shape"
            yield f"The same texture {where}. Only the texture tells the class."
        case "locality":
            segments = parameters.get("segments")
            yield f"Cut into about {segments} superpixels, each painted in its mean colour."
            yield "Fine detail goes, coarse contours stay."
        case "scramble":
            grid = parameters.get("grid")
            yield f"Cut into {grid}×{grid} tiles, every one moved elsewhere: detail stays, layout goes."
        case "noise":
            size = parameters.get("size")
            yield f"A {size}×{size}-pixel patch of strong noise, the same patch for all, at one of five places."
        case "cue-conflict":
            yield "The shape of one class with the texture of another."
            yield "There is no wrong answer: each decision shows a preference."
