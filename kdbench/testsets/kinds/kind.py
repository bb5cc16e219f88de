"""The base class of kinds of test sets: it declares everything that the rest of kdbench needs to know about a kind."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.data.array_types import AnyArray
from kdbench.spec import Axis, Data, TestSet, Track
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets.arrays import Manipulation
from kdbench.testsets.plans import BuildPlan, Workshop

if TYPE_CHECKING:
    from kdbench.networks.weights import WeightFile

GENERATED = "synthetic"
PHOTOGRAPHS = ("cifar10", "folder")
RENDERING = Parameter(str)
GREY = Parameter(int, most=255)


class Kind(ABC):
    """One kind of manipulation. A subclass is one file; `kdbench.testsets.kinds.KINDS` lists them all.

    Modules of kinds import nothing heavy: torch, scipy and scikit-image are imported by the methods that compute.

    Attributes:
        axes: allowed axes of its sets.
        sources: allowed sources of the clean images.
        rendering: the value of the parameter `rendering` that selects the kind; None for a kind that is the default of
            its axes and sources.
    """

    axes: ClassVar[tuple[Axis, ...]]
    sources: ClassVar[tuple[str, ...]] = (GENERATED, *PHOTOGRAPHS)
    rendering: ClassVar[str | None] = None

    @abstractmethod
    def parameters(self, data: Data) -> Parameters:
        """Return the parameters of a set of this kind, given the data of its track."""

    @abstractmethod
    def plan(self, test_set: TestSet, workshop: Workshop) -> BuildPlan:
        """Return how the arrays of a set are made.

        Raises:
            KeyError, TypeError, ValueError: a set with these parameters cannot be made.
        """

    @abstractmethod
    def caption(self, test_set: TestSet) -> str:
        """Return in plain language how the images were changed, and what still shows the class."""

    def title(self, test_set: TestSet, axis_name: str) -> str:
        """Return the name of a set for people: `Shape (white)` for the set `shape-white`."""
        suffix = test_set.name.removeprefix(test_set.axis).strip("-")
        return f"{axis_name} ({suffix})" if suffix and suffix != test_set.name else axis_name

    def weights(self) -> "tuple[WeightFile, ...]":
        """Return the files of pretrained weights that making its sets needs."""
        return ()

    def optimisations(self, test_set: TestSet) -> tuple[tuple[tuple[str, ...], int], ...]:
        """Return, for each optimiser that makes an image from features of VGG-19, its layers and its steps."""
        return ()

    def recipe(self, test_set: TestSet, data: Data) -> dict[str, Any]:
        """Return what determines the arrays of a set in addition to its parameters, as JSON values."""
        return {}

    def tables(self, data: Data) -> tuple[str, ...]:
        """Return the names of the tables that are stored in place of images; empty for a kind that stores images."""
        return ()

    def manipulation(self, test_set: TestSet, arrays: Mapping[str, AnyArray]) -> Manipulation:
        """Return what the evaluation does to the clean images, for a kind with tables.

        Args:
            test_set: of this kind.
            arrays: of the set, including its tables.
        """
        raise NotImplementedError

    def variants(self, primary: TestSet, track: Track) -> Iterator[TestSet]:
        """Yield the diagnostic sets that follow from a primary one; the spec does not list them."""
        return iter(())


def variant(primary: TestSet, suffix: str, **parameters: int) -> TestSet:
    """Return a diagnostic set that differs from a primary one in some parameters."""
    changes = {"parameters": {**primary.parameters, **parameters}, "diagnostic": True}
    return primary.model_copy(update={"name": f"{primary.name}-{suffix}", **changes})
