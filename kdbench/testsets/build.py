"""Builds a track's test sets into the store, and opens them verified."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.data import synthetic
from kdbench.data.cifar10 import Cifar10
from kdbench.data.image_folder import ImageFolder
from kdbench.data.store import read_manifest
from kdbench.data.training_sets import balanced_subset, saliences_of
from kdbench.errors import DataError
from kdbench.spec import TestSet, Track
from kdbench.testsets.arrays import BuildProgress, TestArrays
from kdbench.testsets.building import Building
from kdbench.testsets.kinds import kind_of
from kdbench.testsets.plans import CleanImages, ObjectMasks
from kdbench.testsets.shipped_masks import masks_of
from kdbench.testsets.store import TestSetStore
from kdbench.testsets.workers import start_workers

if TYPE_CHECKING:
    from kdbench.testsets.picture_networks import PictureNetworks

STORED_SIZE = 32  # pixels per side of stored images; the recipes of test sets are frozen for this size


def build_test_sets(
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | ImageFolder | None,
    workers: int = 1,
    diagnostics: bool = False,
    progress: BuildProgress | None = None,
    networks: "PictureNetworks | None" = None,
) -> dict[str, TestArrays]:
    """Build the missing test sets of a track, and open all of them, verified.

    Args:
        track: the track.
        cache: the store; sets of other tracks may lie in it.
        source: CIFAR-10, or the images of a folder; None on a synthetic track.
        workers: processes that build at once, where there are images for several. The arrays do not depend on it.
        diagnostics: whether to build the diagnostic sets, too.
        progress: called after each chunk of images.
        networks: make the sets that need networks; without them, such sets are only opened.

    Returns:
        The arrays by set: the sets of the spec in its order, then the diagnostic variants.

    Raises:
        DataError: the source is missing, a set cannot be made with its parameters or needs networks that are not given,
            the arrays in the store are not those that were written, or the store cannot be written.
        InputError: a set's parameters are wrong.
    """
    store = TestSetStore.of(track, cache, source=source)
    missing = store.missing(diagnostics=diagnostics)
    if missing:
        from_networks = [test_set for test_set in missing if kind_of(test_set, track.data).weights()]
        clean = clean_images(track, source)
        with start_workers(workers, len(clean), progress) as pool:
            building = Building(store, clean, pool, progress, networks)
            for test_set in missing:
                if test_set not in from_networks:
                    building.build(test_set)
            if from_networks and networks is None:
                raise _not_built(from_networks, track)
            for test_set in from_networks:
                building.build(test_set)
    return {test_set.name: store.open(test_set) for test_set in store.sets(diagnostics=diagnostics)}


def verify_test_sets(
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | ImageFolder | None,
    diagnostics: bool = False,
) -> dict[str, TestArrays]:
    """Open all sets of a track and compare their digests. No set is built.

    Raises:
        DataError: sets are missing, or the bytes of one are not those that were written.
    """
    store = TestSetStore.of(track, cache, source=source)
    missing = store.missing(diagnostics=diagnostics)
    if missing:
        raise _not_built(missing, track)
    return {test_set.name: store.open(test_set) for test_set in store.sets(diagnostics=diagnostics)}


def facts_of_test_sets(
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | ImageFolder | None,
    diagnostics: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return the facts in the manifests of built sets, by set: for example `coverage`, the share of each class."""
    store = TestSetStore.of(track, cache, source=source)
    sets = store.sets(diagnostics=diagnostics)
    return {test_set.name: read_manifest(store.entry(test_set).folder)["facts"] for test_set in sets}


def _not_built(test_sets: Sequence[TestSet], track: Track) -> DataError:
    names = ", ".join(test_set.name for test_set in test_sets)
    return DataError(
        f"test sets {names} of track {track.name} are not built, or were built with other options; build them with "
        f"`kdbench data build --track {track.name}` and the same other options, or import them with "
        "`kdbench data import`"
    )


def check_stored_size(track: Track) -> None:
    """Raise DataError if a track's images are stored at a size from which test sets cannot be built."""
    if track.data.stored_size != STORED_SIZE:
        raise DataError(
            f"the images of track {track.name} are stored {track.data.stored_size} pixels wide; "
            f"arrays are built from {STORED_SIZE} pixels only: fix the spec"
        )


def clean_images(track: Track, source: Cifar10 | ImageFolder | None) -> CleanImages:
    """Return the clean test images of a track, as they are stored.

    Raises:
        DataError: CIFAR-10 is needed and missing, its images do not match the shipped masks, or the track's images are
            of a size without a recipe.
    """
    if isinstance(source, ImageFolder):
        objects = None if source.masks is None else ObjectMasks.not_empty(source.masks)
        return CleanImages(source.test_images, source.test_labels, np.arange(len(source.test_labels)), objects)
    check_stored_size(track)
    count = track.primary_sets("clean")[0].images
    if track.data.source == "synthetic":
        drawn = synthetic.condition_images("clean", count=count, saliences=saliences_of(track))
        return CleanImages(drawn.images, drawn.labels, np.arange(count))
    if source is None:
        raise DataError(
            f"track {track.name} needs CIFAR-10; give its folder with --data-root, or omit --data-root to download it"
        )
    ids = balanced_subset(source.test_labels, count)
    images, labels, pinned = source.test_images[ids], source.test_labels[ids], track.data.masks_sha256
    return CleanImages(images, labels, ids, None if pinned is None else masks_of(images, labels, pinned))
