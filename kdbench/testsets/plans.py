"""What each test set of a track is made of: a function of chunks of images, and the right answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.data import synthetic
from kdbench.data.cifar10 import Cifar10
from kdbench.data.training_sets import balanced_subset, limited, look_of
from kdbench.errors import DataError
from kdbench.spec import TestSet, Track
from kdbench.testsets.conflict import conflict_pairs, conflicts
from kdbench.testsets.draws import Integers
from kdbench.testsets.locality import Slic, filled, shipped_or_computed
from kdbench.testsets.noise import noisy
from kdbench.testsets.quilting import Recipe, source_regions
from kdbench.testsets.scramble import scrambled
from kdbench.testsets.shape import silhouettes
from kdbench.testsets.texture import texture_fields

Images = NDArray[np.uint8]
SIZE = 32  # pixels that images are stored at; the recipes here are frozen for this size


@dataclass(frozen=True)
class Base:
    """What a track's test sets are made from.

    Attributes:
        images: (n, 32, 32, 3) uint8, the clean test images.
        labels: (n,) int64.
        ids: (n,) position of each in the whole data set; a limited build draws the same random numbers as a full one.
        masks: (n, 32, 32) bool objects and covered: (n,) bool; None where no set needs them.
    """

    images: Images
    labels: Integers
    ids: Integers
    masks: NDArray[np.bool_] | None = None
    covered: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Plan:
    """How to make one set.

    Attributes:
        function: makes images from chunks of `arguments`; importable by name, so that another process can call it.
        arguments: arrays of n rows.
        keywords: the same for every chunk.
        targets, textures, index: (n,) as in `TestArrays`.
        facts: worth keeping beside the arrays, as JSON values.
    """

    function: Callable[..., Images]
    arguments: tuple[NDArray[Any], ...]
    targets: Integers
    textures: Integers
    index: Integers
    keywords: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def base_of(track: Track, source: Cifar10 | None, limit: int | None) -> Base:
    """The clean images of a track, without masks.

    Raises:
        DataError: CIFAR-10 is needed and missing, or the track's images are of a size without a recipe.
        InputError: the limit leaves a class without images.
    """
    if track.data.stored_size != SIZE:
        raise DataError(
            f"the images of track {track.name} are stored {track.data.stored_size} pixels wide; "
            f"arrays are built from {SIZE} pixels only: mend the spec"
        )
    clean = next(one for one in track.test_sets if one.axis == "clean")
    count = limited(clean.images, limit, track.data.num_classes)
    if track.data.source == "synthetic":
        drawn = synthetic.condition_images("clean", count=count, look=look_of(track))
        return Base(drawn.images, drawn.labels, np.arange(count))
    if source is None:
        raise DataError(f"track {track.name} needs CIFAR-10; give its folder with --data-root, or let it be downloaded")
    ids = balanced_subset(source.test_labels, count)
    return Base(source.test_images[ids], source.test_labels[ids], ids)


def needs_masks(track: Track, test_set: TestSet) -> bool:
    """Whether a set is made from object masks that have to be found."""
    return track.data.source == "cifar10" and test_set.axis in ("shape", "texture", "cue-conflict")


def plan_of(track: Track, test_set: TestSet, base: Base, limit: int | None) -> Plan:
    """The plan of one set; DataError if its parameters have no recipe."""
    try:
        if test_set.axis in ("clean", "locality", "scramble", "noise"):
            return _manipulated(track, test_set, base)
        if track.data.source == "synthetic":
            return _drawn(track, test_set, limit)
        return _from_masks(track, test_set, base, limit)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"test set {test_set.name}: no recipe for the axis {test_set.axis} with the parameters "
            f"{test_set.parameters} ({error}); mend the spec"
        ) from error


def as_they_are(images: Images) -> Images:
    """The images themselves."""
    return images


def superpixels(images: Images, *, parameters: Slic, shipped_maps: bool) -> Images:
    """Images filled by segment, from SLIC's own maps or the shipped ones of synthetic images."""
    return filled(images, shipped_or_computed(images, parameters) if shipped_maps else parameters.maps(images))


def slic_of(test_set: TestSet) -> Slic:
    """SLIC as the parameters of a locality set say."""
    parameters: dict[str, Any] = dict(test_set.parameters)
    return Slic(**parameters)


def _plan(function: Callable[..., Images], base: Base, *more: NDArray[Any], **keywords: Any) -> Plan:
    """A plan with one image for every clean one."""
    return Plan(function, (base.images, *more), base.labels, base.labels, np.arange(len(base.labels)), keywords)


def _manipulated(track: Track, test_set: TestSet, base: Base) -> Plan:
    parameters: dict[str, Any] = dict(test_set.parameters)
    if test_set.axis == "clean":
        return _plan(as_they_are, base, **parameters)
    if test_set.axis == "locality":
        generated = track.data.source == "synthetic"
        return _plan(superpixels, base, parameters=slic_of(test_set), shipped_maps=generated)
    if test_set.axis == "scramble":
        return _plan(scrambled, base, base.ids, **parameters)
    return _plan(noisy, base, base.ids, tile=synthetic.shipped_tables().patch, **parameters)


def _drawn(track: Track, test_set: TestSet, limit: int | None) -> Plan:
    """A set that the generator draws; sets of one condition are told apart by name (`texture-field`)."""
    condition: Any = test_set.name
    if condition not in ("shape", "texture", "texture-field", "cue-conflict") or test_set.parameters:
        raise KeyError("the generator draws shape, texture, texture-field and cue-conflict, without parameters")
    count = limited(test_set.images, limit, track.data.num_classes)
    drawn = synthetic.condition_images(condition, count=count, look=look_of(track))
    index = np.full(count, -1) if condition == "cue-conflict" else np.arange(count)
    return Plan(as_they_are, (drawn.images,), drawn.labels, drawn.textures, index)


def _from_masks(track: Track, test_set: TestSet, base: Base, limit: int | None) -> Plan:
    if base.masks is None or base.covered is None:
        raise ValueError("masks were not computed")
    parameters: dict[str, Any] = dict(test_set.parameters)
    if test_set.axis == "shape":
        if parameters.pop("rendering") != "silhouette":
            raise KeyError("the only rendering is 'silhouette'")
        rows = np.flatnonzero(base.covered)
        labels = base.labels[rows]
        facts = {"coverage": _share_by_class(base.covered, base.labels)}
        return Plan(silhouettes, (base.masks[rows],), labels, labels, rows, parameters, facts)
    recipe = Recipe(**parameters)
    facts = {"source_from_object": _share_by_class(source_regions(base.masks, recipe)[1], base.labels)}
    if test_set.axis == "texture":
        plan = _plan(texture_fields, base, base.masks, base.ids, recipe=recipe)
        return Plan(plan.function, plan.arguments, plan.targets, plan.textures, plan.index, plan.keywords, facts)
    count = limited(test_set.images, limit, track.data.num_classes)
    pairs = conflict_pairs(base.labels, base.ids, base.covered, count=count)
    arguments = (base.images[pairs.content], base.images[pairs.texture], base.masks[pairs.texture], np.arange(count))
    return Plan(conflicts, arguments, pairs.shapes, pairs.textures, pairs.content, {"recipe": recipe})


def _share_by_class(chosen: NDArray[np.bool_], labels: Integers) -> list[float]:
    """The share of each class's images that is chosen."""
    return [round(float(chosen[labels == one].mean()), 4) for one in range(int(labels.max()) + 1)]
