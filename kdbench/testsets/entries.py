"""Where the arrays of a track's test sets lie in the store, what decides them, and opening them."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.data.store import Array, array_sha256, has_entry, read_entry
from kdbench.errors import DataError
from kdbench.networks.weights import FCN, VGG, WeightFile
from kdbench.resources import shipped
from kdbench.spec import TestSet, Track, digest
from kdbench.testsets.arrays import Manipulation, NoisePatch, TestArrays, TileOrders
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.draws import VERSION
from kdbench.testsets.locality import SHIPPED_MAPS
from kdbench.testsets.style_pictures import style_picture

TABLES = ("datasets", "synthetic", "tables.npz")
NETWORKS: dict[str, tuple[WeightFile, ...]] = {"fcn-": (FCN,), "vgg19-texture": (FCN, VGG), "vgg19-style": (VGG,)}


@dataclass(frozen=True)
class Entry:
    """Where arrays lie, and what decides them; `test_set` is None for object masks."""

    folder: Path
    recipe: dict[str, Any]
    test_set: TestSet | None = None

    @property
    def name(self) -> str:
        name: str = self.recipe["set"]["name"]
        return name


@dataclass(frozen=True)
class Arrays:
    """A track's arrays from one source under one limit.

    Attributes:
        track: of the spec.
        cache: the store.
        source_sha256: of CIFAR-10's test images, as `Cifar10` has it; None on a synthetic track.
        limit: at most so many images a set; None for the spec's number.
    """

    track: Track
    cache: Path
    source_sha256: str | None
    limit: int | None

    def entries(self, *, diagnostics: bool) -> dict[str, Entry]:
        """The entries of the track's test sets, in the order of `evaluated_sets`."""
        if self.track.data.source == "cifar10" and self.source_sha256 is None:
            raise DataError(f"track {self.track.name} needs CIFAR-10; give its folder with --data-root, or let it load")
        return {one.name: self.entry(one) for one in evaluated_sets(self.track, diagnostics=diagnostics)}

    def made_by_networks(self, *, diagnostics: bool) -> tuple[TestSet, ...]:
        """The sets that networks make and that are not built."""
        entries = self.entries(diagnostics=diagnostics).values()
        sets = ((entry, entry.test_set) for entry in entries)
        return tuple(one for entry, one in sets if one and weights_of(one) and not has_entry(entry.folder))

    def entry(self, test_set: TestSet) -> Entry:
        """The entry of a set."""
        described = test_set.model_dump(mode="json", include={"name", "axis", "images", "parameters"})
        if "style" in test_set.parameters:
            picture = style_picture(str(test_set.parameters["style"]), self.track.data.image_size)
            described["style_sha256"] = array_sha256(picture)
        return self._entry(described, weights_of(test_set), test_set)

    def masks(self, weights: tuple[WeightFile, ...] = ()) -> Entry:
        """The entry of the object masks that were found with these weights."""
        return self._entry({"name": "masks"}, weights, None)

    def _entry(self, described: dict[str, Any], weights: tuple[WeightFile, ...], test_set: TestSet | None) -> Entry:
        recipe = {**self._made_from(), "set": described}
        if weights:
            recipe["weights"] = {file.name: file.sha256 for file in weights}
        if self.track.data.resize is not None and weights:
            recipe["resize"] = self.track.data.resize.model_dump(mode="json")
        name = described["name"]
        return Entry(self.cache / self.track.name / f"{name}-{digest(recipe)[:12]}", recipe, test_set)

    def _made_from(self) -> dict[str, Any]:
        """What decides every array beside the set's own parameters."""
        largest = max(one.images for one in self.track.test_sets)
        return {
            "version": VERSION,
            "data": self.track.data.model_dump(mode="json", include={"source", "num_classes", "image_size", "look"}),
            "source": self.source_sha256 or "generated",
            "limit": self.limit if self.limit is not None and self.limit < largest else None,
            "tables": _file_sha256(shipped(*TABLES)),
            "segment_maps": "computed" if self.source_sha256 else _file_sha256(shipped(*SHIPPED_MAPS)),
        }

    def is_table(self, test_set: TestSet) -> bool:
        """Whether a set is the clean images and a table of what the evaluation does to them."""
        return self.track.data.resize is not None and test_set.axis in ("scramble", "noise")

    def open(self, entry: Entry) -> TestArrays:
        """The arrays of a set, verified; a table comes with the clean images that it is for."""
        arrays = read_entry(entry.folder, entry.recipe)
        images, manipulation = arrays.get("images"), None
        if entry.test_set is not None and self.is_table(entry.test_set):
            clean = self.entry(self.track.primary_sets("clean")[0])
            images = read_entry(clean.folder, clean.recipe)["images"]
            manipulation = _manipulation(entry.test_set, arrays)
        if images is None:
            raise DataError(f"{entry.folder} holds no images; delete it to build it again")
        return TestArrays(images, arrays["targets"], arrays["textures"], arrays["index"], manipulation)


def weights_of(test_set: TestSet) -> tuple[WeightFile, ...]:
    """The weights of the networks that a set is made with."""
    rendering = str(test_set.parameters.get("rendering", ""))
    return next((files for prefix, files in NETWORKS.items() if rendering.startswith(prefix)), ())


def _manipulation(test_set: TestSet, arrays: dict[str, Array]) -> Manipulation:
    if test_set.axis == "scramble":
        return TileOrders(int(test_set.parameters["grid"]), arrays["order"])
    return NoisePatch(arrays["tile"], arrays["corners"])


@functools.cache
def _file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "absent"
