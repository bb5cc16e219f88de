"""The store of a track's test sets: the folders of their arrays, the recipes of the arrays, and opening them.

Every set is an entry of the array store, in a folder named after the set and the digest of its recipe. Sets that differ
in source, number of images or parameters therefore lie in different folders.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.data.array_types import Images
from kdbench.data.store import has_entry, read_entry
from kdbench.errors import DataError
from kdbench.files import file_sha256
from kdbench.resources import shipped
from kdbench.spec import TestSet, Track, digest
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.draws import VERSION
from kdbench.testsets.kinds import check_parameters, kind_of
from kdbench.testsets.kinds.superpixels import SHIPPED_MAPS

if TYPE_CHECKING:
    from kdbench.data.cifar10 import Cifar10
    from kdbench.data.image_folder import ImageFolder
    from kdbench.networks.weights import WeightFile

ANSWERS = ("targets", "textures", "index")
TABLES = ("datasets", "synthetic", "tables.npz")


@dataclass(frozen=True)
class StoreEntry:
    """The folder of some arrays, and the recipe that determines them."""

    folder: Path
    recipe: dict[str, Any]


@dataclass(frozen=True)
class TestSetStore:
    """A track's test sets from one source, whether they are built or not.

    Attributes:
        track: of the spec.
        cache: the folder that holds all entries, those of other tracks included.
        source_sha256: of the images that the sets are made from, as their source has it; None on a synthetic track.
    """

    __test__ = False

    track: Track
    cache: Path
    source_sha256: str | None

    @classmethod
    def of(cls, track: Track, cache: Path, *, source: "Cifar10 | ImageFolder | None") -> "TestSetStore":
        """Return the store of the sets that are made from a source; None on a synthetic track."""
        return cls(track, cache, source.test_sha256 if source else None)

    def sets(self, *, diagnostics: bool) -> tuple[TestSet, ...]:
        """Return the track's sets in the order of `evaluated_sets`; DataError if their source is missing."""
        if self.track.data.source == "cifar10" and self.source_sha256 is None:
            raise DataError(f"track {self.track.name} needs CIFAR-10; give its folder with --data-root")
        return evaluated_sets(self.track, diagnostics=diagnostics)

    def missing(self, *, diagnostics: bool) -> tuple[TestSet, ...]:
        """Return the sets that are not built."""
        return tuple(
            test_set for test_set in self.sets(diagnostics=diagnostics) if not has_entry(self.entry(test_set).folder)
        )

    def missing_from_networks(self, *, diagnostics: bool) -> tuple[TestSet, ...]:
        """Return the sets that are not built and need networks."""
        missing = self.missing(diagnostics=diagnostics)
        return tuple(test_set for test_set in missing if kind_of(test_set, self.track.data).weights())

    def entry(self, test_set: TestSet) -> StoreEntry:
        """Return the entry of a set; SpecError if its parameters are wrong."""
        check_parameters(test_set, self.track.data)
        kind = kind_of(test_set, self.track.data)
        described = test_set.model_dump(mode="json", include={"name", "axis", "images", "parameters"})
        return self._entry({**described, **kind.recipe(test_set, self.track.data)}, kind.weights())

    def masks_entry(self, weights: "tuple[WeightFile, ...]") -> StoreEntry:
        """Return the entry of the clean images' object masks, which are found with these weights."""
        return self._entry({"name": "masks", "images": self.track.primary_sets("clean")[0].images}, weights)

    def open(self, test_set: TestSet) -> TestArrays:
        """Return the verified arrays of a set. A set of tables gets the clean images that the tables apply to.

        Raises:
            DataError: the set is not built, or its bytes are not those that were written.
        """
        entry, kind = self.entry(test_set), kind_of(test_set, self.track.data)
        tables = kind.tables(self.track.data)
        arrays = read_entry(entry.folder, entry.recipe, (*ANSWERS, *(tables or ("images",))))
        return TestArrays(
            images=self.images(self.track.primary_sets("clean")[0]) if tables else arrays["images"],
            targets=arrays["targets"],
            textures=arrays["textures"],
            index=arrays["index"],
            manipulation=kind.manipulation(test_set, arrays) if tables else None,
        )

    def images(self, test_set: TestSet) -> Images:
        """Return the verified images of a set that has its own images."""
        entry = self.entry(test_set)
        return read_entry(entry.folder, entry.recipe, ("images",))["images"]

    def _entry(self, described: dict[str, Any], weights: "tuple[WeightFile, ...]") -> StoreEntry:
        recipe = {**self._made_from(), "set": described}
        if weights:
            recipe["weights"] = {file.name: file.sha256 for file in weights}
        if self.track.data.resize is not None and weights:
            recipe["resize"] = self.track.data.resize.model_dump(mode="json")
        name = described["name"]
        return StoreEntry(self.cache / self.track.name / f"{name}-{digest(recipe)[:12]}", recipe)

    def _made_from(self) -> dict[str, Any]:
        """Return what decides every array, apart from the set's own parameters."""
        return {
            "version": VERSION,
            "data": self.track.data.model_dump(mode="json", include={"source", "num_classes", "image_size", "look"}),
            "source": self.source_sha256 or "generated",
            **({"masks": self.track.data.masks_sha256} if self.track.data.masks_sha256 else {}),
            "limit": None,  # of older recipes; the number of images is in the description of each set
            "tables": _shipped_sha256(*TABLES),
            "segment_maps": "computed" if self.source_sha256 else _shipped_sha256(*SHIPPED_MAPS),
        }


@functools.cache
def _shipped_sha256(*place: str) -> str:
    path = shipped(*place)
    return file_sha256(path) if path.exists() else "absent"
