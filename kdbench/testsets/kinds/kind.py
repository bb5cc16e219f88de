"""What a kind of test set declares: everything that the rest of kdbench has to know of it."""

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

GENERATED, PHOTOGRAPHS = "synthetic", "cifar10"
RENDERING = Parameter(str)
GREY = Parameter(int, most=255)


class Kind(ABC):
    """One kind of manipulation. A subclass is one file; `kdbench.testsets.kinds.KINDS` lists them all.

    Modules of kinds import nothing heavy: torch, scipy and scikit-image are imported by the methods that compute.

    Attributes:
        axes: that its sets may lie on.
        sources: of the clean images that its sets may be made from.
        rendering: the value of the parameter `rendering` that names the kind; None for the one kind of an axis and a
            source that needs no such parameter.
    """

    axes: ClassVar[tuple[Axis, ...]]
    sources: ClassVar[tuple[str, ...]] = (GENERATED, PHOTOGRAPHS)
    rendering: ClassVar[str | None] = None

    @abstractmethod
    def parameters(self, data: Data) -> Parameters:
        """Return the parameters that a set of this kind has on a track with such data."""

    @abstractmethod
    def plan(self, test_set: TestSet, workshop: Workshop) -> BuildPlan:
        """Return how the arrays of a set are made.

        Raises:
            KeyError, TypeError, ValueError: nothing can be made with the set's parameters.
        """

    @abstractmethod
    def caption(self, test_set: TestSet) -> str:
        """Say in plain language what was done to the images, and what is left that tells the class."""

    def title(self, test_set: TestSet, axis_name: str) -> str:
        """Return the name of a set for people: `Shape (white)` for the set `shape-white`."""
        suffix = test_set.name.removeprefix(test_set.axis).strip("-")
        return f"{axis_name} ({suffix})" if suffix and suffix != test_set.name else axis_name

    def weights(self) -> "tuple[WeightFile, ...]":
        """Return the files of pretrained weights that its sets are made with."""
        return ()

    def optimisations(self, test_set: TestSet) -> tuple[tuple[tuple[str, ...], int], ...]:
        """Return, for each optimiser that makes an image from features of VGG-19, its layers and its steps."""
        return ()

    def recipe(self, test_set: TestSet, data: Data) -> dict[str, Any]:
        """Return what decides the arrays of a set beside its parameters, as JSON values."""
        return {}

    def tables(self, data: Data) -> tuple[str, ...]:
        """Return the names of the tables that are stored in place of images; none where images are stored."""
        return ()

    def manipulation(self, test_set: TestSet, arrays: Mapping[str, AnyArray]) -> Manipulation:
        """Return what the evaluation does to the clean images, for a kind with tables.

        Args:
            test_set: of this kind.
            arrays: of the set, its tables among them.
        """
        raise NotImplementedError

    def variants(self, primary: TestSet, track: Track) -> Iterator[TestSet]:
        """Yield the diagnostic sets that follow from a primary one; the spec does not list them."""
        return iter(())


def variant(primary: TestSet, suffix: str, **parameters: int) -> TestSet:
    """Return a diagnostic set that differs from a primary one in some parameters."""
    changes = {"parameters": {**primary.parameters, **parameters}, "diagnostic": True}
    return primary.model_copy(update={"name": f"{primary.name}-{suffix}", **changes})
