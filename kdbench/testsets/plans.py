"""How the arrays of one test set are made, and what the code that makes them may use."""

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
    """What a track's test sets are made from.

    Attributes:
        images: (n, h, h, 3) uint8, the clean test images as they are stored.
        labels: (n,) their classes.
        ids: (n,) position of each in the whole data set; a limited build draws the same random numbers as a full one.
    """

    images: Images
    labels: Integers
    ids: Integers

    def __len__(self) -> int:
        return len(self.labels)

    def answers(self, rows: Integers | None = None) -> RightAnswers:
        """Return the right answers of images that are made from these rows; from all of them without `rows`."""
        rows = np.arange(len(self)) if rows is None else rows
        return RightAnswers(self.labels[rows], self.labels[rows], rows)

    def share_by_class(self, chosen: Masks) -> list[float]:
        """Return the share of each class's images that is chosen; `chosen` is (n,)."""
        return [round(float(chosen[self.labels == label].mean()), 4) for label in range(int(self.labels.max()) + 1)]


@dataclass(frozen=True)
class ObjectMasks:
    """Where the object of each clean image is.

    Attributes:
        masks: (n, H, H) bool, at the stored size or the track's; empty where no object was found.
        covered: (n,) bool, whether the mask is one to rely on.
        facts: what the manifest says of the masks.
    """

    masks: Masks
    covered: Masks
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> Integers:
        """Positions of the covered images, ascending."""
        return np.flatnonzero(self.covered)


class Workshop(Protocol):
    """What a kind of test set may use to plan and make the arrays of a set."""

    @property
    def track(self) -> Track: ...

    @property
    def clean(self) -> CleanImages: ...

    @property
    def colour_masks(self) -> ObjectMasks:
        """Masks of the stored images, from colours alone; found when they are first asked for."""

    @property
    def network_masks(self) -> ObjectMasks:
        """Masks at the track's size, from FCN-ResNet-101; found when they are first asked for."""

    @property
    def networks(self) -> "PictureNetworks":
        """The networks that test sets are made with."""

    def images_of(self, test_set: TestSet) -> Images:
        """Return the images of another set of the track, made now unless they are in the store."""

    def in_chunks(
        self, name: str, function: Callable[..., Any], arrays: tuple[AnyArray, ...], keywords: Mapping[str, Any]
    ) -> list[Any]:
        """Return what a function makes of chunks of arrays, computed by several processes at once."""

    def in_pieces(
        self, test_set: TestSet, total: int, make: Callable[[slice], dict[str, AnyArray]]
    ) -> dict[str, AnyArray]:
        """Return long arrays made piece by piece; pieces outlive a build that is killed."""


@dataclass(frozen=True, kw_only=True)
class BuildPlan(ABC):
    """How to make the arrays of one set.

    Attributes:
        answers: the right answers, whose number is that of the set's images.
        facts: what the manifest says of the set, as JSON values.
    """

    answers: RightAnswers
    facts: Mapping[str, Any] = field(default_factory=dict)

    @abstractmethod
    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        """Return the arrays that are stored beside the right answers."""


@dataclass(frozen=True, kw_only=True)
class ChunkPlan(BuildPlan):
    """Images that a function makes from chunks of arrays, in several processes at once.

    Attributes:
        function: importable by name, so that another process can call it.
        arrays: of n rows each; the function gets chunks of them.
        keywords: the same for every chunk.
    """

    function: Callable[..., Images]
    arrays: tuple[AnyArray, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        return {"images": np.concatenate(workshop.in_chunks(test_set.name, self.function, self.arrays, self.keywords))}


@dataclass(frozen=True, kw_only=True)
class PiecePlan(BuildPlan):
    """Images that take long, made in pieces that outlive a build that is killed.

    Attributes:
        piece: makes the images of a slice of the set's rows, (k, H, H, 3) uint8.
    """

    piece: Callable[[slice], Images]

    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        return workshop.in_pieces(test_set, len(self.answers.index), lambda rows: {"images": self.piece(rows)})


@dataclass(frozen=True, kw_only=True)
class TablePlan(BuildPlan):
    """Tables of what the evaluation does to the clean images; no images of its own.

    Attributes:
        tables: by name.
    """

    tables: Mapping[str, AnyArray]

    def made(self, test_set: TestSet, workshop: Workshop) -> dict[str, AnyArray]:
        return dict(self.tables)
