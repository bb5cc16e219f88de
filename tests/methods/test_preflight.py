"""What cannot work is said before anything is trained."""

import pytest

from kdbench.api import Task
from kdbench.errors import SubmissionError
from kdbench.methods.loading import load_submission
from kdbench.methods.preflight import backbone_shapes, check_method
from kdbench.networks.models import new_backbone
from kdbench.spec import Family
from kdbench.testsets.spec import load_spec
from kdbench.training.teacher import Supervised
from tests.planned_runs import trial_on

TRACK = load_spec().track("synthetic")


class Picky(Supervised):
    name, uses_teacher = "picky", True

    def __init__(self, task: Task, config: Supervised.Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        if task.teacher.feature_map[1:] != task.student.feature_map[1:]:
            raise ValueError(f"grids {task.teacher.feature_map[1:]} and {task.student.feature_map[1:]} do not match")


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_shapes_without_weights_are_those_of_the_network(family: Family) -> None:
    built = new_backbone(TRACK, family, seed=0, pretrained=False)
    assert backbone_shapes(TRACK, family) == built.shapes(TRACK.data.image_size)


def test_a_method_that_cannot_be_made_is_refused_in_its_own_words() -> None:
    with pytest.raises(SubmissionError, match=r"'picky' cannot run cnn-to-vit .*\(4, 4\) and \(8, 8\) do not match"):
        check_method(Picky, Picky.Config(), trial_on(TRACK), "cnn-to-vit")


def test_methods_that_work_are_not_refused() -> None:
    check_method(Picky, Picky.Config(), trial_on(TRACK), "vit-to-vit")
    independent = load_submission("independent")
    check_method(independent, independent.Config(), trial_on(TRACK), "cnn-to-vit")
