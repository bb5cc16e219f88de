"""The test sets of one's own images: those kinds of a track that need no trained network to make them.

Scrambled tiles, noise and superpixels are as on the track. Shape, texture and cue conflict need the objects' masks, and
are made as on `cifar10-32`: silhouettes, and texture that is quilted from the inside of the object.
"""

from typing import Final

from kdbench.data.image_folder import ImageFolder
from kdbench.errors import InputError
from kdbench.spec import Axis, Resize, TestSet, Track

WITHOUT_MASKS: Final[tuple[Axis, ...]] = ("clean", "locality", "scramble", "noise")
WITH_MASKS: Final[tuple[Axis, ...]] = ("shape", "texture", "cue-conflict")
MOST_CONFLICTS: Final = 1200
BLOCKS: Final[dict[int, dict[str, int | float | str]]] = {
    32: {"block": 8, "overlap": 3, "candidates": 40},
    224: {"block": 32, "overlap": 8, "candidates": 40},  # a fourth of an object that fills half of the image
}
"""How texture is quilted, by pixels per side of the images."""


def track_of_folder(template: Track, source: ImageFolder) -> Track:
    """Return a track whose test sets are made from somebody's images, at the size of an existing track.

    Args:
        template: a track of photographs, which gives the size and the parameters of the sets.
        source: the images, at that size.
    """
    size, count = template.data.image_size, len(source.test_labels)
    kept = [test_set for test_set in template.test_sets if test_set.axis in WITHOUT_MASKS and not test_set.diagnostic]
    changes = {
        "source": "folder",
        "num_classes": len(source.class_names),
        "resize": template.data.resize and Resize(stored=size, interpolation="bicubic", antialias=False),
    }
    return template.model_copy(
        update={
            "name": f"folder-{size}",
            "data": template.data.model_copy(update=changes),
            "test_sets": (
                *(test_set.model_copy(update={"images": count}) for test_set in kept),
                *(_with_masks(size, count) if source.masks is not None else ()),
            ),
        }
    )


def template_for_folder(track: Track) -> Track:
    """Return the track if it is one of photographs; InputError if it draws its own images."""
    if track.data.image_size not in BLOCKS or track.data.source == "synthetic":
        raise InputError(f"track {track.name} draws its own images; give one of photographs, such as cifar10-224")
    return track


def _with_masks(size: int, count: int) -> tuple[TestSet, ...]:
    conflicts = min(count, MOST_CONFLICTS)
    return (
        TestSet(name="shape-white", axis="shape", images=count, parameters=_silhouette(255)),
        TestSet(name="shape-black", axis="shape", images=count, parameters=_silhouette(0)),
        TestSet(name="texture", axis="texture", images=count, parameters=BLOCKS[size]),
        TestSet(name="cue-conflict", axis="cue-conflict", images=conflicts, parameters=BLOCKS[size]),
    )


def _silhouette(foreground: int) -> dict[str, int | float | str]:
    return {"rendering": "silhouette", "foreground": foreground, "background": 255 - foreground}
