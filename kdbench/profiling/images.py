"""The test images of a profile: those of a track, or those that are made from one's own images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from kdbench.data.cifar10 import CLASSES
from kdbench.data.image_folder import ImageFolder, read_image_folder
from kdbench.data.synthetic import SHAPE_NAMES
from kdbench.jobs.devices import cores
from kdbench.jobs.opening import open_test_sets
from kdbench.jobs.progress import TestSetProgress
from kdbench.plan.options import TestSetOptions
from kdbench.plan.overrides import with_overrides
from kdbench.resources import cache_folder
from kdbench.spec import Spec, Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.own_images import template_for_folder, track_of_folder

MOST_OWN_IMAGES: Final = 2000


@dataclass(frozen=True)
class ProfileImages:
    """The test images of a profile.

    Attributes:
        track: with the recipes of the test sets.
        test_sets: by name.
        class_names: of the classes, in order.
        origin: what the sets are made from, in words.
        notes: what a reader must know of them, as sentences.
    """

    track: Track
    test_sets: dict[str, TestArrays]
    class_names: tuple[str, ...]
    origin: str
    notes: tuple[str, ...] = ()


def track_images(options: TestSetOptions, spec: Spec) -> ProfileImages:
    """Open the test sets of a track, and build those that are missing."""
    track, _ = with_overrides(spec.track(options.track), limit_test=options.limit_test)
    _, test_sets = open_test_sets(track, options, _console())
    names = SHAPE_NAMES if track.data.source == "synthetic" else CLASSES
    return ProfileImages(track, test_sets, names, f"track {track.name}")


def own_images(options: TestSetOptions, spec: Spec, folder: Path, masks: Path | None) -> ProfileImages:
    """Open the test sets that are made from the images in a folder, and build those that are missing.

    Raises:
        InputError: the track of the options has no size for such images.
        DataError: there are no such images or masks, or one cannot be read.
    """
    template = template_for_folder(spec.track(options.track))
    most = options.limit_test or MOST_OWN_IMAGES
    source = read_image_folder(folder, template.data.image_size, masks=masks, most=most)
    track = track_of_folder(template, source)
    workers = options.workers or cores()
    with TestSetProgress(_console()) as progress:
        test_sets = build_test_sets(track, cache_folder(), source=source, workers=workers, progress=progress.advanced)
    size = f"{track.data.image_size} x {track.data.image_size} pixels"
    return ProfileImages(track, test_sets, source.class_names, f"{source.folder} at {size}", _notes(source))


def _notes(source: ImageFolder) -> tuple[str, ...]:
    notes = ["The test sets of own images have passed no study of validity: compare networks on them, not axes."]
    if source.masks is not None:
        covered, count = int(source.masks.any(axis=(1, 2)).sum()), len(source.test_labels)
        if covered < count:
            notes.append(f"Shape is measured on the {covered} of {count} images that have a mask.")
    return tuple(notes)


def _console() -> Console:
    """Return the console of the progress bar; standard output is for the profile."""
    return Console(stderr=True)
