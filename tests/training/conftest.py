"""Small trainings on the synthetic track; what every test may share is made once per session and only read."""

from functools import partial
from pathlib import Path

import pytest

from kdbench.api import Method
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.spec import Track
from kdbench.training.assignment import Assignment
from kdbench.training.loop import train
from tests.training.small_runs import Make, Trained, assignment_in, small_track


@pytest.fixture(scope="session")
def track() -> Track:
    """Return the synthetic track, made small: 64 images in batches of 16, two epochs."""
    return small_track()


@pytest.fixture(scope="session")
def data(track: Track) -> TrainingSet:
    return training_set(track, role="student", bias=None, seed=0, source=None)


@pytest.fixture
def make(track: Track, tmp_path: Path) -> Make:
    """Return a function that makes an assignment for a CNN student; `place` names its folder."""
    return partial(assignment_in, tmp_path, track)


@pytest.fixture(scope="session")
def trained(track: Track, data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a function that trains a method without interruption, once per session, and returns its assignment."""

    trained_already: dict[type[Method], Assignment] = {}

    def trained_once(method: type[Method]) -> Assignment:
        if method not in trained_already:
            trained_already[method] = assignment_in(tmp_path_factory.mktemp("trained"), track, method)
            train(trained_already[method], data, lambda done, total: None)
        return trained_already[method]

    return trained_once
