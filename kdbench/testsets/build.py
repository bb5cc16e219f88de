"""Builds a track's test sets into the store, and opens them verified.

Every set is an entry of the store, in a folder named after the set and the digest of its recipe, so that sets
of another source, limit or parameter lie beside each other and never meet.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.cifar10 import Cifar10
from kdbench.data.store import has_entry, read_entry, read_manifest, write_entry
from kdbench.errors import DataError
from kdbench.spec import TestSet, Track
from kdbench.testsets.arrays import Progress, TestArrays, answer_arrays, array_digests
from kdbench.testsets.contact_sheet import contact_sheet, gallery
from kdbench.testsets.entries import Arrays, Entry, weights_of
from kdbench.testsets.frozen import differences_from_frozen
from kdbench.testsets.network_build import NetworkBuild
from kdbench.testsets.network_sets import Networks
from kdbench.testsets.on_device import noise_of, orders_of
from kdbench.testsets.plans import Base, base_of, needs_masks, plan_of
from kdbench.testsets.segmentation import object_masks
from kdbench.testsets.workers import Step, Workers, start_workers

__all__ = [
    "Progress",
    "TestArrays",
    "array_digests",
    "build_test_sets",
    "contact_sheet",
    "differences_from_frozen",
    "facts_of_test_sets",
    "gallery",
    "verify_test_sets",
]


def build_test_sets(
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | None,
    limit: int | None = None,
    workers: int = 1,
    diagnostics: bool = False,
    progress: Progress | None = None,
    networks: Networks | None = None,
) -> dict[str, TestArrays]:
    """Builds what is missing, and opens all sets of a track, verified.

    Args:
        track: the track.
        cache: the store; sets of other tracks and limits may lie in it.
        source: CIFAR-10; None on a synthetic track.
        limit: at most so many images a set, balanced over the classes; None for the spec's number.
        workers: processes that build at once. The arrays do not depend on it.
        diagnostics: with the diagnostic sets.
        progress: called after each chunk of images.
        networks: to make the sets with that networks make; without them such sets are opened only.

    Returns:
        By set: the spec's in its order, then the variants of `kdbench.spec`.

    Raises:
        DataError: the source is missing, a set has no recipe or needs networks that are not given, or what lies in the
            store is not what was written, or the store cannot be written.
        InputError: the limit leaves a class without images.
    """
    arrays = arrays_of(track, cache, source=source, limit=limit)
    entries = arrays.entries(diagnostics=diagnostics)
    missing = [entry for entry in entries.values() if not has_entry(entry.folder)]
    if missing:
        base = base_of(track, source, limit)
        _make(arrays, base, missing, workers, progress, networks)
    return {name: arrays.open(entry) for name, entry in entries.items()}


def verify_test_sets(
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | None,
    limit: int | None = None,
    diagnostics: bool = False,
) -> dict[str, TestArrays]:
    """Opens all sets of a track and compares their digests, building none.

    Raises:
        DataError: sets are missing, or the first one that is not the bytes that were written.
    """
    arrays = arrays_of(track, cache, source=source, limit=limit)
    entries = arrays.entries(diagnostics=diagnostics)
    missing = [name for name, entry in entries.items() if not has_entry(entry.folder)]
    if missing:
        raise DataError(
            f"test sets {', '.join(missing)} of track {track.name} are not built; build them with "
            f"`kdbench data build --track {track.name}` and the same other options, or import them with "
            "`kdbench data import`"
        )
    return {name: arrays.open(entry) for name, entry in entries.items()}


def facts_of_test_sets(
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | None,
    limit: int | None = None,
    diagnostics: bool = False,
) -> dict[str, dict[str, Any]]:
    """What was noted when the sets were built: `coverage` and `source_from_object`, the share of each class, by set."""
    entries = arrays_of(track, cache, source=source, limit=limit).entries(diagnostics=diagnostics)
    return {name: read_manifest(entry.folder)["facts"] for name, entry in entries.items()}


def arrays_of(track: Track, cache: Path, *, source: Cifar10 | None, limit: int | None) -> Arrays:
    """A track's arrays in the store, those from this source and under this limit."""
    return Arrays(track, cache, source.test_sha256 if source else None, limit)


def _make(
    arrays: Arrays,
    base: Base,
    missing: list[Entry],
    count: int,
    progress: Progress | None,
    networks: Networks | None,
) -> None:
    """Builds and writes entries: what `count` processes make, then what is a table, then what networks make."""
    sets = {entry.name: (entry, entry.test_set) for entry in missing if entry.test_set is not None}
    tables = [(entry, one) for entry, one in sets.values() if arrays.is_table(one)]
    pictures = [(entry, one) for entry, one in sets.values() if weights_of(one)]
    pooled = [pair for pair in sets.values() if pair not in tables and pair not in pictures]
    if pooled:
        with start_workers(count, progress) as pool:
            if any(needs_masks(arrays.track, one) for _, one in pooled):
                base = _with_masks(base, arrays.masks(), pool)
            for entry, one in pooled:
                _make_one(arrays, entry, one, base, pool)
    for entry, one in tables:
        _make_table(arrays, entry, one, base)
    if pictures:
        NetworkBuild(arrays, base, networks, progress).make(pictures)


def _make_one(arrays: Arrays, entry: Entry, test_set: TestSet, base: Base, pool: Workers) -> None:
    plan = plan_of(arrays.track, test_set, base, arrays.limit)
    if not len(plan.targets):
        raise DataError(f"test set {test_set.name} would be empty: no image has a mask; raise the limit")
    try:
        images = pool.run(Step(test_set.name, plan.function, plan.arguments, plan.keywords))
    except (TypeError, ValueError) as error:
        raise DataError(f"test set {test_set.name} with {test_set.parameters}: {error}; mend the spec") from error
    made = {"images": np.concatenate(images), **answer_arrays(plan.targets, plan.textures, plan.index)}
    write_entry(entry.folder, entry.recipe, made, plan.facts)


def _make_table(arrays: Arrays, entry: Entry, test_set: TestSet, base: Base) -> None:
    """Writes what the evaluation is to do to the clean images."""
    parameters: dict[str, Any] = dict(test_set.parameters)
    size = arrays.track.data.image_size
    try:
        if test_set.axis == "scramble":
            table = {"order": orders_of(base.ids, size, **parameters).order}
        else:
            noise = noise_of(base.ids, size, **parameters)
            table = {"tile": noise.tile, "corners": noise.corners}
    except (TypeError, ValueError) as error:
        raise DataError(f"test set {test_set.name} with {test_set.parameters}: {error}; mend the spec") from error
    answers = answer_arrays(base.labels, base.labels, np.arange(len(base.labels)))
    write_entry(entry.folder, entry.recipe, {**table, **answers}, {})


def _with_masks(base: Base, entry: Entry, pool: Workers) -> Base:
    """The base with its object masks, found now unless they are in the store."""
    if not has_entry(entry.folder):
        found = pool.run(Step("masks", object_masks, (base.images,), {}))
        masks, covered = (np.concatenate(parts) for parts in zip(*found, strict=True))
        write_entry(entry.folder, entry.recipe, {"masks": masks, "covered": covered}, {})
    arrays = read_entry(entry.folder, entry.recipe)
    return replace(base, masks=arrays["masks"], covered=arrays["covered"])
