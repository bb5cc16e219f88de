"""Builds a track's test sets into the store, and opens them verified.

Every set is an entry of the store, in a folder named after the set and the digest of its recipe, so that sets
of another source, limit or parameter lie beside each other and never meet.
"""

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.cifar10 import Cifar10
from kdbench.data.store import has_entry, read_entry, read_manifest, write_entry
from kdbench.errors import DataError
from kdbench.resources import shipped
from kdbench.spec import TestSet, Track, digest
from kdbench.testsets.arrays import Progress, TestArrays, array_digests
from kdbench.testsets.contact_sheet import contact_sheet, gallery
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.draws import VERSION
from kdbench.testsets.frozen import differences_from_frozen
from kdbench.testsets.locality import SHIPPED_MAPS
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

TABLES = ("datasets", "synthetic", "tables.npz")


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
        track_name: the track's name in the spec.
        track: the track.
        cache: the store; sets of other tracks and limits may lie in it.
        source: CIFAR-10; None on a synthetic track.
        limit: at most so many images a set, balanced over the classes; None for the spec's number.
        workers: processes that build at once. The arrays do not depend on it.
        diagnostics: with the diagnostic sets.
        progress: called after each chunk of images.

    Returns:
        By set: the spec's in its order, then the variants of `kdbench.testsets.diagnostics`.

    Raises:
        DataError: the source is missing, a set has no recipe, or what lies in the store is not what was written.
        InputError: the limit leaves a class without images.
        RecordError: the store cannot be written.
    """
    build = _Build(track_name, track, cache, source, limit)
    entries = build.entries(diagnostics)
    missing = [entry for entry in entries.values() if not has_entry(entry.folder)]
    if missing:
        build.make(missing, workers, progress)
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
    """Opens all sets of a track and compares their digests, building none.

    Raises:
        DataError: the first set that is missing or not the bytes that were written.
    """
    entries = _Build(track_name, track, cache, source, limit).entries(diagnostics)
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
    """What was noted when the sets were built: `coverage` and `source_from_object`, the share of each class, by set."""
    entries = _Build(track_name, track, cache, source, limit).entries(diagnostics)
    return {name: read_manifest(entry.folder)["facts"] for name, entry in entries.items()}


@dataclass(frozen=True)
class _Entry:
    """Where arrays lie, and what decides them; `test_set` is None for the object masks."""

    folder: Path
    recipe: dict[str, Any]
    test_set: TestSet | None = None


@dataclass(frozen=True)
class _Build:
    """One request: a track's arrays from one source under one limit."""

    track_name: str
    track: Track
    cache: Path
    source: Cifar10 | None
    limit: int | None

    def entries(self, diagnostics: bool) -> dict[str, _Entry]:
        """The entries of the track's test sets, in the order of `evaluated_sets`."""
        if self.track.data.source == "cifar10" and self.source is None:
            raise DataError(f"track {self.track_name} needs CIFAR-10; give its folder with --data-root, or let it load")
        chosen = evaluated_sets(self.track, diagnostics=diagnostics)
        return {one.name: self._entry(one.name, _parameters(one), one) for one in chosen}

    def make(self, missing: list[_Entry], count: int, progress: Progress | None) -> None:
        """Builds and writes entries with `count` processes."""
        base = base_of(self.track_name, self.track, self.source, self.limit)
        with start_workers(count, progress) as pool:
            if any(needs_masks(self.track, entry.test_set) for entry in missing if entry.test_set):
                base = _with_masks(base, self._entry("masks", {}), pool)
            for entry in missing:
                self._make_one(entry, base, pool)

    def _make_one(self, entry: _Entry, base: Base, pool: Workers) -> None:
        test_set = entry.test_set
        if test_set is None:
            raise ValueError("masks are no test set")
        plan = plan_of(self.track, test_set, base, self.limit)
        if not len(plan.targets):
            raise DataError(f"test set {test_set.name} would be empty: no image has a mask; raise the limit")
        try:
            images = pool.run(Step(test_set.name, plan.function, plan.arguments, plan.keywords))
        except (TypeError, ValueError) as error:
            raise DataError(f"test set {test_set.name} with {test_set.parameters}: {error}; mend the spec") from error
        arrays = {
            "images": np.concatenate(images),
            "targets": plan.targets.astype("<i2"),
            "textures": plan.textures.astype("<i2"),
            "index": plan.index.astype("<i4"),
        }
        write_entry(entry.folder, entry.recipe, arrays, plan.facts)

    def _entry(self, name: str, parameters: dict[str, Any], test_set: TestSet | None = None) -> _Entry:
        recipe = {**self._made_from(), "set": {"name": name, **parameters}}
        return _Entry(self.cache / self.track_name / f"{name}-{digest(recipe)[:12]}", recipe, test_set)

    def _made_from(self) -> dict[str, Any]:
        """What decides every array beside the set's own parameters."""
        generated = self.source is None
        largest = max(one.images for one in self.track.test_sets)
        return {
            "version": VERSION,
            "data": self.track.data.model_dump(mode="json", include={"source", "num_classes", "image_size", "look"}),
            "source": "generated" if self.source is None else self.source.test_sha256,
            "limit": self.limit if self.limit is not None and self.limit < largest else None,
            "tables": _file_sha256(shipped(*TABLES)),
            "segment_maps": _file_sha256(shipped(*SHIPPED_MAPS)) if generated else "computed",
        }


def _parameters(test_set: TestSet) -> dict[str, Any]:
    return test_set.model_dump(mode="json", include={"axis", "images", "parameters"})


@functools.cache
def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"


def _with_masks(base: Base, entry: _Entry, pool: Workers) -> Base:
    """The base with its object masks, found now unless they are in the store."""
    if not has_entry(entry.folder):
        found = pool.run(Step("masks", object_masks, (base.images,), {}))
        masks, covered = (np.concatenate(parts) for parts in zip(*found, strict=True))
        write_entry(entry.folder, entry.recipe, {"masks": masks, "covered": covered}, {})
    arrays = read_entry(entry.folder, entry.recipe)
    return replace(base, masks=arrays["masks"], covered=arrays["covered"])


def _open(entry: _Entry) -> TestArrays:
    return TestArrays(**read_entry(entry.folder, entry.recipe))
