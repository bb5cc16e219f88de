"""Sets that the generator of the synthetic images draws: shape, texture, texture field and cue conflict."""

from typing import cast

import numpy as np

from kdbench.data import synthetic
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameters
from kdbench.testsets.arrays import RightAnswers
from kdbench.testsets.kinds.clean import unchanged
from kdbench.testsets.kinds.cue_conflict import CONFLICT_CAPTION
from kdbench.testsets.kinds.kind import GENERATED, Kind
from kdbench.testsets.plans import ChunkPlan, Workshop

CONDITIONS = ("shape", "texture", "texture-field", "cue-conflict")


class Generated(Kind):
    """Sets that the generator draws. The name of a set is its condition, since one axis may have two conditions."""

    axes = ("shape", "texture", "cue-conflict")
    sources = (GENERATED,)

    def parameters(self, data: Data) -> Parameters:
        return {}

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        from kdbench.data.training_sets import saliences_of

        if test_set.name not in CONDITIONS:
            raise ValueError(f"the generator draws only {', '.join(CONDITIONS)}")
        condition = cast(synthetic.TestCondition, test_set.name)
        count = test_set.images
        drawn = synthetic.condition_images(condition, count=count, saliences=saliences_of(workshop.track))
        index = np.full(count, -1) if condition == "cue-conflict" else np.arange(count)
        answers = RightAnswers(drawn.labels, drawn.textures, index)
        return ChunkPlan(answers=answers, function=unchanged, arrays=(drawn.images,))

    def caption(self, test_set: TestSet) -> str:
        if test_set.axis == "shape":
            return "The same outline, filled with noise in place of its texture. Only the shape shows the class."
        if test_set.axis == "texture":
            where = "over the whole image" if test_set.diagnostic else "inside a blob whose shape belongs to no class"
            return f"The same texture, {where}. Only the texture shows the class."
        return CONFLICT_CAPTION
