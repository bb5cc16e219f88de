from pathlib import Path
from typing import Any

import pytest

from kdbench.api import Method
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from kdbench.training.assignment import Assignment
from kdbench.training.teacher import Supervised
from tests.training.small_runs import BATCH, EPOCHS, IMAGES, Make


@pytest.fixture
def track() -> Track:
    """The synthetic track, made small: 64 images in batches of 16, two epochs."""
    whole = load_spec().track("synthetic")
    training = whole.training.model_copy(
        update={"batch_size": BATCH, "teacher_epochs": EPOCHS, "student_epochs": EPOCHS}
    )
    return whole.model_copy(update={"training": training, "data": whole.data.model_copy(update={"num_train": IMAGES})})


@pytest.fixture
def data(track: Track) -> TrainingSet:
    return training_set(track, role="student", bias=None, seed=0, source=None)


@pytest.fixture
def make(track: Track, tmp_path: Path) -> Make:
    """Makes an assignment for a CNN student; `place` names its folder."""

    def assignment(
        method: type[Method] = Supervised,
        *,
        place: str = "run",
        seed: int = 0,
        teacher: Path | None = None,
        config: Any = None,
    ) -> Assignment:
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        return Assignment(
            track=track,
            role="student",
            family="cnn",
            bias=None,
            seed=seed,
            method_class=method,
            config=config or method.Config(),
            teacher_family="cnn" if teacher else None,
            teacher_weights=teacher,
            folder=folder,
            device="cpu",
        )

    return assignment
