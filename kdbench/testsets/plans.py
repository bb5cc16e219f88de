"""Plans for making the arrays of a test set, and the interface that the code of a plan may use."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kdbench.data.array_types import AnyArray, Images, Integers, Masks
from kdbench.spec import TestSet, Track
from kdbench.testsets.arrays import RightAnswers

if TYPE_CHECKING:
    from kdbench.testsets.picture_networks import PictureNetworks


@dataclass(frozen=True)
class CleanImages:
    """The clean images that a track's test sets are made from.

    Attributes:
        images: (n, h, h, 3) uint8, at their stored size.
        labels: (n,) classes.
        ids: (n,) positions in the whole data set, so that a limited build draws the same random numbers as a full one.
        objects: positions of the objects in the images; None if they are not known.
    """

    images: Images
    labels: Integers
    ids: Integers
    objects: "ObjectMasks | None" = None

    def __len__(self) -> int:
        return len(self.labels)

    def answers(self, rows: Integers | None = None) -> RightAnswers:
        """Return the right answers for images that are made from these rows; without `rows`, from all of them."""
        rows = np.arange(len(self)) if rows is None else rows
        return RightAnswers(self.labels[rows], self.labels[rows], rows)

    def share_by_class(self, chosen: Masks) -> list[float]:
        """Return for each class the share of its images for which `chosen`, (n,), is True."""
        return [round(float(chosen[self.labels == label].mean()), 4) for label in range(int(self.labels.max()) + 1)]


@dataclass(frozen=True)
class ObjectMasks:
    """The positions of the objects in the clean images.

    Attributes:
        masks: (n, H, H) bool, at the stored size or at the track's size; all False if no object was found.
        covered: (n,) bool, whether the mask is reliable.
        facts: about the masks, for the manifest.
    """

    masks: Masks
    covered: Masks
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def not_empty(cls, masks: Masks) -> "ObjectMasks":
        """Return masks of which each counts as reliable unless it is empty."""
        return cls(masks, np.asarray(masks.any(axis=(1, 2)), bool))

    @cached_property
    def rows(self) -> Integers:
        """Positions of the covered images, ascending."""
        return np.flatnonzero(self.covered)


class Workshop(Protocol):
    """The interface through which a kind of test set plans and makes the arrays of a set."""

    @property
    def track(self) -> Track: ...

    @property
    def clean(self) -> CleanImages: ...

    @property
    def object_masks(self) -> ObjectMasks:
        """Masks of the stored images; ValueError if there are none."""

    @property
    def network_masks(self) -> ObjectMasks:
        """Masks at the track's size, from FCN-ResNet-101; computed at the first use."""

    @property
    def networks(self) -> "PictureNetworks":
        """The networks that make test sets."""

    def images_of(self, test_set: TestSet) -> Images:
        """Return the images of another set of the track, which is built unless the store has it."""

    def in_chunks(
        self, name: str, function: Callable[..., Any], arrays: tuple[AnyArray, ...], keywords: Mapping[str, Any]
    ) -> list[Any]:
        """Return the results of a function for chunks of arrays, computed by several processes in parallel."""

    def in_pieces(
        self, test_set: TestSet, total: int, make: Callable[[slice], dict[str, AnyArray]]
    ) -> dict[str, AnyArray]:
        """Make long arrays piece by piece; a killed build keeps the finished pieces."""


@dataclass(frozen=True, kw_only=True)
class BuildPlan(ABC):
    """A plan for making the arrays of one set.

    Attributes:
        answers: the right answers, one per image of the set.
        facts: about the set, for the manifest, as JSON values.
    """

    answers: RightAnswers
    facts: Mapping[str, Any] = field(default_factory=dict)

    @abstractmethod
    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        """Make and return the arrays that are stored in addition to the right answers."""


@dataclass(frozen=True, kw_only=True)
class ChunkPlan(BuildPlan):
    """A plan for images that a function makes from chunks of arrays, in several processes in parallel.

    Attributes:
        function: importable by name, so that another process can call it.
        arrays: with n rows each; the function gets chunks of them.
        keywords: further arguments, the same for every chunk.
    """

    function: Callable[..., Images]
    arrays: tuple[AnyArray, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        return {"images": np.concatenate(workshop.in_chunks(test_set.name, self.function, self.arrays, self.keywords))}


@dataclass(frozen=True, kw_only=True)
class PiecePlan(BuildPlan):
    """A plan for images that take long: they are made in pieces, and a killed build keeps the finished pieces.

    Attributes:
        piece: makes the images of a slice of the set's rows, (k, H, H, 3) uint8.
    """

    piece: Callable[[slice], Images]

    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        return workshop.in_pieces(test_set, len(self.answers.index), lambda rows: {"images": self.piece(rows)})


@dataclass(frozen=True, kw_only=True)
class TablePlan(BuildPlan):
    """A plan for a set without images of its own: tables that determine how the evaluation changes the clean images.

    Attributes:
        tables: by name.
    """

    tables: Mapping[str, AnyArray]

    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        return dict(self.tables)
