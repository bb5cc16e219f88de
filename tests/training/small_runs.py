"""The size of the small trainings of this folder; the fixtures in conftest.py make them."""

from collections.abc import Callable

from kdbench.training.assignment import Assignment

Make = Callable[..., Assignment]


IMAGES, BATCH, EPOCHS = 64, 16, 2
