"""Builds the test sets that networks make: masks once, then every set in pieces that outlive a killed build."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data.store import has_entry, read_entry, read_manifest, write_entry
from kdbench.errors import DataError
from kdbench.networks.weights import FCN
from kdbench.spec import TestSet
from kdbench.testsets.arrays import Progress, answer_arrays
from kdbench.testsets.entries import Arrays, Entry, weights_of
from kdbench.testsets.fcn import coverage_facts, non_empty
from kdbench.testsets.network_sets import Networks, Workshop
from kdbench.testsets.partial import forget_pieces, in_pieces
from kdbench.testsets.plans import Base


@dataclass(frozen=True)
class NetworkBuild:
    """One build.

    Attributes:
        arrays: the request.
        base: the stored clean images.
        networks: to make the sets with; None where sets may be opened only.
        progress: told after each piece.
    """

    arrays: Arrays
    base: Base
    networks: Networks | None
    progress: Progress | None

    def make(self, missing: Sequence[tuple[Entry, TestSet]]) -> None:
        """Makes and writes the entries of sets.

        Raises:
            DataError: there are no networks to make them with, a set would be empty, or its parameters have no recipe.
        """
        if self.networks is None:
            names = ", ".join(one.name for _, one in missing)
            raise DataError(
                f"test sets {names} of track {self.arrays.track.name} are not built, or were built another way; "
                f"build them with `kdbench data build --track {self.arrays.track.name}` or import them"
            )
        workshop = self._workshop(self.networks, any(FCN in weights_of(one) for _, one in missing))
        for entry, test_set in sorted(missing, key=lambda pair: _needs_field(pair[1])):
            self._make_one(entry, test_set, workshop)

    def _make_one(self, entry: Entry, test_set: TestSet, workshop: Workshop) -> None:
        try:
            making = workshop.making(test_set, self._field(test_set, workshop))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"test set {test_set.name} with {test_set.parameters}: {error}; mend the spec") from error
        if not len(making.rows):
            raise DataError(f"test set {test_set.name} would be empty: no image has a mask; raise the limit")
        images = in_pieces(
            entry.folder,
            len(making.rows),
            making.piece,
            self._told(test_set.name),
            device_class=workshop.networks.device.type,
        )
        labels = self.base.labels[making.rows]
        write_entry(
            entry.folder, entry.recipe, {"images": images, **answer_arrays(labels, labels, making.rows)}, making.facts
        )
        forget_pieces(entry.folder)

    def _field(self, test_set: TestSet, workshop: Workshop) -> NDArray[np.uint8] | None:
        """The texture fields that a set lays over objects; None if it does no such thing."""
        if not _needs_field(test_set):
            return None
        wanted = {**test_set.parameters, "place": "field"}
        field = next((one for one in self.arrays.track.test_sets if one.parameters == wanted), None)
        if field is None:
            raise ValueError("the track has no set of the same textures over the whole field")
        entry = self.arrays.entry(field)
        if not has_entry(entry.folder):
            self._make_one(entry, field, workshop)
        return read_entry(entry.folder, entry.recipe)["images"]

    def _workshop(self, networks: Networks, needs_masks: bool) -> Workshop:
        data = self.arrays.track.data
        if not needs_masks:
            return Workshop(self.base, data, networks, {})
        entry = self.arrays.masks((FCN,))
        if not has_entry(entry.folder):
            self._make_masks(entry, networks)
        arrays = read_entry(entry.folder, entry.recipe)
        masks = np.unpackbits(arrays["masks"], axis=2, count=data.image_size).astype(bool)
        base = replace(self.base, masks=masks, covered=non_empty(masks))
        return Workshop(base, data, networks, read_manifest(entry.folder)["facts"])

    def _make_masks(self, entry: Entry, networks: Networks) -> None:
        """Finds the masks and writes them, eight pixels a byte, with the VOC class of each image's object."""

        def piece(rows: slice) -> NDArray[np.uint8]:
            found = networks.segment(self.base.images[rows], self.arrays.track.data)
            packed = np.packbits(found.masks, axis=2)
            named = np.repeat(found.objects.astype(np.uint8)[:, None, None], packed.shape[2], axis=2)
            return np.concatenate([packed, named], axis=1)

        both = in_pieces(
            entry.folder,
            len(self.base.labels),
            piece,
            self._told("object masks"),
            device_class=networks.device.type,
        )
        masks, objects = both[:, :-1], both[:, -1, 0].astype(np.int16)
        facts = coverage_facts(non_empty(masks), objects, self.base.labels)
        write_entry(entry.folder, entry.recipe, {"masks": masks, "objects": objects}, facts)
        forget_pieces(entry.folder)

    def _told(self, name: str) -> Any:
        def told(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(name, done, total)

        return told


def _needs_field(test_set: TestSet) -> bool:
    return test_set.parameters.get("place") == "object"
