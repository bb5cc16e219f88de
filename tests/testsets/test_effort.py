"""What it takes to make test sets with networks is counted: masks once, and every step of an optimiser."""

import pytest

from kdbench.testsets.effort import building_operations
from kdbench.testsets.spec import load_spec

PAPER = load_spec().track("cifar10-224")


def test_masks_are_made_once_and_every_step_of_an_optimiser_counts() -> None:
    sets = {test_set.name: test_set for test_set in PAPER.test_sets}
    masks = building_operations([sets["shape-white"]], PAPER.data)
    assert building_operations([sets["shape-white"], sets["shape-black"]], PAPER.data) == masks
    texture = building_operations([sets["texture"]], PAPER.data) - masks
    assert building_operations([sets["texture"], sets["texture-object"]], PAPER.data) - masks == texture
    halved = sets["texture"].model_copy(update={"parameters": sets["texture"].parameters | {"steps": 200}})
    assert building_operations([halved], PAPER.data) - masks == pytest.approx(texture / 2)
    assert building_operations([sets["clean"], sets["noise"]], PAPER.data) == 0
