"""Builds a track's test sets into the store, and opens them verified.

Every set is an entry of the store of its own, in a folder named after the set and the digest of its recipe, so that sets of
another source, limit or parameter lie beside each other and never meet.
"""

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.cifar10 import Cifar10
from kdbench.data.store import has_entry, read_entry, read_manifest, write_entry
from kdbench.errors import DataError
from kdbench.resources import shipped
from kdbench.spec import TestSet, Track, digest
from kdbench.testsets.arrays import Progress, TestArrays, array_digests
from kdbench.testsets.contact_sheet import contact_sheet, gallery
from kdbench.testsets.draws import VERSION
from kdbench.testsets.frozen import differences_from_frozen
from kdbench.testsets.locality import SHIPPED_MAPS
from kdbench.testsets.plans import Base, base_of, needs_masks, plan_of
from kdbench.testsets.segmentation import object_masks

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

CHUNK = 250  # images that a process works on at once
MASKS = "masks"


def build_test_sets(
    track_name: str,
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | None,
    limit: int | None = None,
    workers: int = 1,
    diagnostics: bool = False,
    progress: Progress | None = None,
) -> dict[str, TestArrays]:
    """Builds what is missing, and opens all sets of a track, verified.

    Args:
        track_name, track: of the spec.
        cache: the store; sets of other tracks and limits may lie in it.
        source: CIFAR-10; None on a synthetic track.
        limit: at most so many images a set, balanced over the classes; None for the spec's number.
        workers: processes that build at once. The arrays do not depend on it.
        diagnostics: with the sets that the spec calls diagnostic.
        progress: called after each chunk of images.

    Returns:
        By set, in the spec's order.

    Raises:
        DataError: the source is missing, a set has no recipe, or what lies in the store is not what was written.
        RecordError: the store cannot be written.
    """
    entries = _entries(track_name, track, cache, source, limit, diagnostics)
    missing = [entry for entry in entries.values() if not has_entry(entry.folder)]
    if missing:
        base = base_of(track_name, track, source, limit)
        with _workers(workers) as run:
            if any(needs_masks(track, entry.test_set) for entry in missing):
                masks = _masks_entry(track_name, track, cache, source, limit)
                base = _with_masks(base, masks, run, progress)
            for entry in missing:
                _build(track, entry, base, limit, run, progress)
    return {name: _open(entry) for name, entry in entries.items()}


def verify_test_sets(
    track_name: str,
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | None,
    limit: int | None = None,
    diagnostics: bool = False,
) -> dict[str, TestArrays]:
    """Opens all sets of a track and compares their digests, building none; DataError names the first that is missing or wrong."""
    entries = _entries(track_name, track, cache, source, limit, diagnostics)
    return {name: _open(entry) for name, entry in entries.items()}


def facts_of_test_sets(
    track_name: str,
    track: Track,
    cache: Path,
    *,
    source: Cifar10 | None,
    limit: int | None = None,
    diagnostics: bool = False,
) -> dict[str, dict[str, Any]]:
    """What was noted when the sets were built, by set: `coverage` and `source_from_object`, the share of each class."""
    entries = _entries(track_name, track, cache, source, limit, diagnostics)
    return {name: read_manifest(entry.folder)["facts"] for name, entry in entries.items()}


@dataclass(frozen=True)
class _Entry:
    """Where a set lies, and what decides its arrays."""

    folder: Path
    recipe: dict[str, Any]


@dataclass(frozen=True)
class _SetEntry(_Entry):
    test_set: TestSet


def _entries(
    track_name: str, track: Track, cache: Path, source: Cifar10 | None, limit: int | None, diagnostics: bool
) -> dict[str, _SetEntry]:
    if track.data.source == "cifar10" and source is None:
        raise DataError(f"track {track_name} needs CIFAR-10; give its folder with --data-root, or let it be downloaded")
    made_from = _made_from(track, source, limit)
    chosen = [one for one in track.test_sets if diagnostics or not one.diagnostic]
    entries = {}
    for test_set in chosen:
        recipe = {**made_from, "set": test_set.model_dump(mode="json", exclude={"diagnostic"})}
        entries[test_set.name] = _SetEntry(_folder(cache, track_name, test_set.name, recipe), recipe, test_set)
    return entries


def _masks_entry(track_name: str, track: Track, cache: Path, source: Cifar10 | None, limit: int | None) -> _Entry:
    recipe = {**_made_from(track, source, limit), "set": MASKS}
    return _Entry(_folder(cache, track_name, MASKS, recipe), recipe)


def _folder(cache: Path, track_name: str, name: str, recipe: Mapping[str, Any]) -> Path:
    return cache / track_name / f"{name}-{digest(recipe)[:12]}"


def _made_from(track: Track, source: Cifar10 | None, limit: int | None) -> dict[str, Any]:
    """What decides every array of a track beside the set's own parameters."""
    tables = {"tables": _file_sha256(shipped("datasets", "synthetic", "tables.npz"))}
    if source is None:
        tables["maps"] = _file_sha256(shipped(*SHIPPED_MAPS))
    clean = max(one.images for one in track.test_sets)
    return {
        "version": VERSION,
        "data": track.data.model_dump(mode="json", include={"source", "num_classes", "image_size", "look"}),
        "source": source.test_sha256 if source is not None else "generated",
        "limit": limit if limit is not None and limit < clean else None,
        **tables,
    }


@cache
def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


Run = Callable[[str, Callable[..., Any], tuple[NDArray[Any], ...], Mapping[str, Any], Progress | None], list[Any]]
"""Maps a function over chunks of arrays: step, function, arrays, keywords, progress -> the results in order."""


@contextmanager
def _workers(count: int) -> Iterator[Run]:
    """A `Run` over `count` processes, or in this one for a count of 1."""
    pool = None
    if count > 1:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
    try:
        yield lambda *what: _run(pool, *what)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _run(
    pool: ProcessPoolExecutor | None,
    step: str,
    function: Callable[..., Any],
    arrays: tuple[NDArray[Any], ...],
    keywords: Mapping[str, Any],
    progress: Progress | None,
) -> list[Any]:
    total = len(arrays[0])
    parts = [slice(start, start + CHUNK) for start in range(0, total, CHUNK)]
    chunks = ((function, tuple(one[part] for one in arrays), keywords) for part in parts)
    results = []
    for result in pool.map(_call, chunks) if pool is not None else map(_call, chunks):
        results.append(result)
        if progress is not None:
            progress(step, min(len(results) * CHUNK, total), total)
    return results


def _call(work: tuple[Callable[..., Any], tuple[NDArray[Any], ...], Mapping[str, Any]]) -> Any:
    function, arrays, keywords = work
    return function(*arrays, **keywords)


def _with_masks(base: Base, entry: _Entry, run: Run, progress: Progress | None) -> Base:
    """The base with its object masks, found now unless they are in the store."""
    if not has_entry(entry.folder):
        found = run(MASKS, object_masks, (base.images,), {}, progress)
        arrays = {
            "masks": np.concatenate([masks for masks, _ in found]),
            "covered": np.concatenate([one for _, one in found]),
        }
        write_entry(entry.folder, entry.recipe, arrays, {})
    arrays = read_entry(entry.folder, entry.recipe)
    return replace(base, masks=arrays["masks"], covered=arrays["covered"])


def _build(track: Track, entry: _SetEntry, base: Base, limit: int | None, run: Run, progress: Progress | None) -> None:
    plan = plan_of(track, entry.test_set, base, limit)
    if not len(plan.targets):
        raise DataError(f"test set {entry.test_set.name} would be empty: no image has a mask; raise the limit")
    try:
        images = run(entry.test_set.name, plan.function, plan.arguments, plan.keywords, progress)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"test set {entry.test_set.name} with {entry.test_set.parameters}: {error}; mend the spec"
        ) from error
    arrays = {
        "images": np.concatenate(images),
        "targets": plan.targets.astype("<i2"),
        "textures": plan.textures.astype("<i2"),
        "index": plan.index.astype("<i4"),
    }
    write_entry(entry.folder, entry.recipe, arrays, plan.facts)


def _open(entry: _SetEntry) -> TestArrays:
    return TestArrays(**read_entry(entry.folder, entry.recipe))
