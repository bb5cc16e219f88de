"""Clean: the unchanged images."""

from kdbench.data.array_types import Images
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameters
from kdbench.testsets.kinds.kind import Kind
from kdbench.testsets.plans import ChunkPlan, Workshop


class Clean(Kind):
    axes = ("clean",)

    def parameters(self, data: Data) -> Parameters:
        return {}

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        return ChunkPlan(answers=workshop.clean.answers(), function=unchanged, arrays=(workshop.clean.images,))

    def caption(self, test_set: TestSet) -> str:
        return "The unchanged images: their shape and their texture agree."


def unchanged(images: Images) -> Images:
    """Return the images themselves."""
    return images
