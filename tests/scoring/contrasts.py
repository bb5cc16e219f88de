"""Simulated profiles of seed-paired networks, and contrasts between two arms."""

from collections.abc import Sequence

import numpy as np

from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.transfer import Contrast

GAP = np.array([0.7, -0.7, -0.1, 0.4, -0.6])  # between two planted teachers, in the order of BIAS_AXES
RESAMPLES = 200


def with_resamples(values: FloatArray, random: np.random.Generator, image_error: float) -> FloatArray:
    """(K, axes) -> (K, axes, 1 + S): resamples around the data, with an error that all seeds share."""
    shared = random.normal(0, image_error, (values.shape[1], RESAMPLES))
    return np.concatenate([values[..., None], values[..., None] + shared], axis=-1)


def noisy(
    means: FloatArray, seeds: int, entropy: int | Sequence[int], spread: float = 0.03, image_error: float = 0.01
) -> FloatArray:
    """(K, axes, 1 + S): means with noise over seeds; `means` is (axes,), or (K, axes) if it depends on the seed."""
    random = np.random.default_rng(entropy)
    values = means + random.normal(0, spread, (seeds, means.shape[-1]))
    return with_resamples(values, random, image_error)


def contrast(students: FloatArray, teachers: FloatArray) -> Contrast:
    return Contrast(students, teachers, images=1000)


def drawn(share: float, entropy: int, *, seeds: int = 5, spread: float = 0.03, image_error: float = 0.005) -> Contrast:
    """A contrast whose students have this share of the planted teachers' difference, with noise of their own."""
    teachers = noisy(GAP, seeds, [entropy, 1], spread, image_error)
    students = noisy(share * teachers[..., 0], seeds, [entropy, 2], spread, image_error)
    return contrast(students, teachers)
