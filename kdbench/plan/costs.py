"""Rough relative costs of runs, in no particular unit: to estimate the remaining time, and to start long runs first."""

from collections.abc import Mapping
from typing import Final

from kdbench.spec import Family, Track
from kdbench.testsets.diagnostics import evaluated_sets

_WEIGHT: Final[Mapping[Family, float]] = {"cnn": 1.0, "vit": 2.0}  # of a training step
FORWARD: Final = 1 / 3  # cost of a forward pass, in training steps


def training_cost(images: float, family: Family, teacher_family: Family | None) -> float:
    """Return the cost of training a network on some images; a teacher costs its forward pass."""
    forward = FORWARD * _WEIGHT[teacher_family] if teacher_family else 0.0
    return images / 1000 * (_WEIGHT[family] + forward)


def evaluation_cost(answers: int, family: Family) -> float:
    """Return the cost of some answers of a network."""
    return answers / 1000 * FORWARD * _WEIGHT[family]


def answers_of(track: Track, *, diagnostics: bool) -> int:
    """Return how many images, occluded ones included, are evaluated in a run of a track."""
    answers = sum(test_set.images for test_set in evaluated_sets(track, diagnostics=diagnostics))
    return answers + occluded_images(track) if diagnostics else answers


def occluded_images(track: Track) -> int:
    """Return how many occluded images are evaluated for the occlusion maps of a network."""
    from kdbench.evaluation.occlusion import OCCLUDER, OCCLUSION_IMAGES  # PyTorch takes seconds to import

    size = track.data.image_size
    return min(OCCLUSION_IMAGES, track.primary_sets("clean")[0].images) * (size // OCCLUDER[size]) ** 2
