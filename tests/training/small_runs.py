"""Assignments for small trainings; the fixtures in conftest.py hand them to the tests of this folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdbench.api import Method
from kdbench.networks.models import read_weights
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from kdbench.training.assignment import Assignment
from kdbench.training.teacher import Supervised

Make = Callable[..., Assignment]
Trained = Callable[[type[Method]], Assignment]
IMAGES, BATCH, EPOCHS = 64, 16, 2


def small_track() -> Track:
    whole = load_spec().track("synthetic")
    training = whole.training.model_copy(
        update={"batch_size": BATCH, "teacher_epochs": EPOCHS, "student_epochs": EPOCHS}
    )
    return whole.model_copy(update={"training": training, "data": whole.data.model_copy(update={"num_train": IMAGES})})


def assignment_in(
    root: Path,
    track: Track,
    method: type[Method] = Supervised,
    *,
    place: str = "run",
    seed: int = 0,
    teacher: Path | None = None,
    config: Any = None,
) -> Assignment:
    """Make an assignment for a CNN student.

    Args:
        root: gets a folder for the run.
        track: whose student.
        method: trains it.
        place: name of the folder.
        seed: of the run.
        teacher: weights of a CNN teacher, if there is one.
        config: of the method; its defaults if None.
    """
    folder = root / place
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
        teacher_state=read_weights(teacher) if teacher else None,
        folder=folder,
        device="cpu",
    )
