"""One build of test sets: it finds once what several sets are made from, and keeps finished parts of long work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.data.array_types import AnyArray, Images
from kdbench.data.store import has_entry, read_entry, read_manifest, write_entry
from kdbench.errors import DataError
from kdbench.spec import TestSet, Track
from kdbench.testsets.arrays import BuildProgress
from kdbench.testsets.kinds import kind_of
from kdbench.testsets.partial import forget_pieces, in_pieces
from kdbench.testsets.plans import BuildPlan, CleanImages, ObjectMasks
from kdbench.testsets.store import StoreEntry, TestSetStore
from kdbench.testsets.workers import Workers

if TYPE_CHECKING:
    from kdbench.testsets.picture_networks import PictureNetworks


@dataclass(frozen=True)
class Building:
    """Implements `kdbench.testsets.plans.Workshop`, through which the kinds of test sets make their arrays.

    Attributes:
        store: where the arrays are written.
        clean: the clean images that the sets are made from.
        pool: processes that make images from chunks of arrays.
        progress: called after each piece that networks have made.
        given_networks: None if no set is built that needs networks.
    """

    store: TestSetStore
    clean: CleanImages
    pool: Workers
    progress: BuildProgress | None
    given_networks: "PictureNetworks | None"

    @property
    def track(self) -> Track:
        return self.store.track

    @property
    def networks(self) -> "PictureNetworks":
        assert self.given_networks is not None, "a set that needs networks may not be built here"
        return self.given_networks

    @property
    def object_masks(self) -> ObjectMasks:
        if self.clean.objects is None:
            raise ValueError("the images of the track have no object masks, which this set needs")
        return self.clean.objects

    @cached_property
    def network_masks(self) -> ObjectMasks:
        from kdbench.networks.weights import FCN
        from kdbench.testsets.fcn import non_empty

        entry = self.store.masks_entry((FCN,))
        if not has_entry(entry.folder):
            self._find_network_masks(entry)
        packed = read_entry(entry.folder, entry.recipe, ("masks",))["masks"]
        masks = np.unpackbits(packed, axis=2, count=self.track.data.image_size).astype(bool)
        return ObjectMasks(masks, non_empty(masks), read_manifest(entry.folder)["facts"])

    def images_of(self, test_set: TestSet) -> Images:
        self.build(test_set)
        return self.store.images(test_set)

    def in_chunks(
        self, name: str, function: Callable[..., Any], arrays: tuple[AnyArray, ...], keywords: Mapping[str, Any]
    ) -> list[Any]:
        return self.pool.run(name, function, arrays, keywords)

    def in_pieces(
        self, test_set: TestSet, total: int, make: Callable[[slice], dict[str, AnyArray]]
    ) -> dict[str, AnyArray]:
        return self._in_pieces(self.store.entry(test_set), test_set.name, total, make)

    def build(self, test_set: TestSet) -> None:
        """Make and write the arrays of a set, unless the store has them already.

        Raises:
            DataError: the set would be empty, or cannot be made with its parameters.
        """
        entry = self.store.entry(test_set)
        if has_entry(entry.folder):
            return
        try:
            plan, arrays = self._made(test_set)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"test set {test_set.name} with {test_set.parameters}: {error}; fix the spec") from error
        write_entry(entry.folder, entry.recipe, {**arrays, **plan.answers.arrays}, plan.facts)
        forget_pieces(entry.folder)

    def _made(self, test_set: TestSet) -> tuple[BuildPlan, dict[str, AnyArray]]:
        plan = kind_of(test_set, self.track.data).plan(test_set, self)
        if not len(plan.answers.index):
            raise DataError(f"test set {test_set.name} would be empty: no image has a mask; give a larger --limit-test")
        return plan, plan.made(test_set, self)

    def _find_network_masks(self, entry: StoreEntry) -> None:
        """Find the masks and write them, eight pixels per byte, with the VOC class of each image's object."""
        from kdbench.testsets.fcn import coverage_facts, non_empty

        def piece(rows: slice) -> dict[str, AnyArray]:
            segmented = self.networks.segment(self.clean.images[rows], self.track.data)
            return {"masks": np.packbits(segmented.masks, axis=2), "objects": segmented.objects}

        arrays = self._in_pieces(entry, "object masks", len(self.clean), piece)
        facts = coverage_facts(non_empty(arrays["masks"]), arrays["objects"], self.clean.labels)
        write_entry(entry.folder, entry.recipe, arrays, facts)
        forget_pieces(entry.folder)

    def _in_pieces(
        self, entry: StoreEntry, name: str, total: int, make: Callable[[slice], dict[str, AnyArray]]
    ) -> dict[str, AnyArray]:
        def advanced(done: int, of: int) -> None:
            if self.progress is not None:
                self.progress(name, done, of)

        device_class = self.networks.device.type
        return in_pieces(entry.folder, total, make, advanced, device_class=device_class)
