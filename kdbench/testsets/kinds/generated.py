"""Sets that the generator of the synthetic images draws: shape, texture, texture field and cue conflict."""

from typing import cast

import numpy as np

from kdbench.data import synthetic
from kdbench.data.training_sets import saliences_of
from kdbench.spec import Data, TestSet
from kdbench.spec.parameters import Parameters
from kdbench.testsets.arrays import RightAnswers
from kdbench.testsets.kinds.clean import unchanged
from kdbench.testsets.kinds.cue_conflict import CONFLICT_CAPTION
from kdbench.testsets.kinds.kind import GENERATED, Kind
from kdbench.testsets.plans import ChunkPlan, Workshop

CONDITIONS = ("shape", "texture", "texture-field", "cue-conflict")


class Generated(Kind):
    """The condition is the set's name, since `texture` and `texture-field` lie on one axis."""

    axes = ("shape", "texture", "cue-conflict")
    sources = (GENERATED,)

    def parameters(self, data: Data) -> Parameters:
        return {}

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        if test_set.name not in CONDITIONS:
            raise ValueError(f"the generator draws {', '.join(CONDITIONS)} alone")
        condition = cast(synthetic.TestCondition, test_set.name)
        count = test_set.images
        drawn = synthetic.condition_images(condition, count=count, saliences=saliences_of(workshop.track))
        index = np.full(count, -1) if condition == "cue-conflict" else np.arange(count)
        answers = RightAnswers(drawn.labels, drawn.textures, index)
        return ChunkPlan(answers=answers, function=unchanged, arrays=(drawn.images,))

    def caption(self, test_set: TestSet) -> str:
        if test_set.axis == "shape":
            return "The same outline, filled with noise instead of its texture. Only the shape tells the class."
        if test_set.axis == "texture":
            where = "over the whole frame" if test_set.diagnostic else "in a blob that is no class's shape"
            return f"The same texture {where}. Only the texture tells the class."
        return CONFLICT_CAPTION
