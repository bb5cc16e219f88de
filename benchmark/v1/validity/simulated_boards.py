"""Draws the profiles of simulated boards with known answers, for the simulation of the scoring protocol.

A seed moves all students alike and each network separately. The finite test sets add an error that all networks share
and an error of each network. Seed k starts from pretrained backbone k mod 5, which adds an effect of its own to each
network of a board: what a backbone does to all students alike would cancel. Students follow the difference between the
two teachers that they were given, noise of these teachers included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from kdbench.scoring.gap import Triangle
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.transfer import Contrast
from kdbench.testsets.spec import load_spec

RESAMPLES = 100
BACKBONES = 5

# Differences of c in the order of BIAS_AXES: texture, shape, locality, scramble, noise.
PLANTED = np.array([-0.70, 0.75, 0.15, -0.50, 0.55])  # between planted teachers of doses 1 and 0; its length is 1.28
FAMILIES = np.array([0.03, -0.04, 0.30, 0.04, 0.19])  # between natural teachers of two families; its length is 0.36
NATURAL = np.array([0.14, -0.20, 0.08, -0.18, 0.12])  # between independent and a natural teacher; its length is 0.34
SEED_SHARED, SEED_OWN = 0.02, 0.02  # standard deviations of c over seeds: shared by all students, and of each network
IMAGES_SHARED, IMAGES_OWN = 0.006, 0.006  # errors of c from the finite test sets: shared, and of each network


@dataclass(frozen=True)
class Noise:
    """Draws what differs between networks of one board apart from their true profiles.

    Attributes:
        seeds: K.
        backbone: standard deviation of the effect of a backbone on c of each network.
        images: (axes, 1 + S) errors that all networks of the board share.
    """

    seeds: int
    backbone: float
    random: np.random.Generator
    images: FloatArray

    @classmethod
    def of_board(cls, seeds: int, backbone: float, random: np.random.Generator) -> "Noise":
        return cls(seeds, backbone, random, random.normal(0, IMAGES_SHARED, (len(PLANTED), 1 + RESAMPLES)))

    def shared(self) -> FloatArray:
        """Return (K, axes) effects of the seeds on all networks with the same random streams."""
        return self.random.normal(0, SEED_SHARED, (self.seeds, len(PLANTED)))

    def of_network(self) -> FloatArray:
        """Return (K, axes) effects on one network: of its seeds, and of its backbones."""
        effects = self.random.normal(0, self.backbone, (BACKBONES, len(PLANTED)))
        of_backbone: FloatArray = effects[np.arange(self.seeds) % BACKBONES]
        return self.random.normal(0, SEED_OWN, (self.seeds, len(PLANTED))) + of_backbone

    def measured(self, profiles: FloatArray) -> FloatArray:
        """Return (K, axes, 1 + S) what the test images say of a network's (K, axes) profiles, then the resamples."""
        errors = self.images + self.random.normal(0, IMAGES_OWN, self.images.shape)
        errors[:, 1:] += errors[:, :1]  # the resamples vary around the data, and the data vary around the truth
        return profiles[..., None] + errors


@dataclass(frozen=True)
class SimulatedBoard:
    """Rows with the same teachers, and the independent students of their direction.

    Attributes:
        rows: in the order of the true transfers.
        independents: (K, axes) profiles.
    """

    rows: tuple[Contrast, ...]
    independents: FloatArray


def sizes(question: str, seeds: int) -> FloatArray:
    """Return (K, 1) the difference of the doses of each seed's teachers; 1 for natural teachers."""
    shape, texture = doses(seeds)
    return shape - texture if question == "planted" else np.ones((seeds, 1))


@cache
def doses(seeds: int) -> FloatArray:
    """Return (2, K, 1) the doses of each seed's "shape" and "texture" teachers, which are those of `synthetic`."""
    planted = load_spec().track("synthetic").planted
    assert planted is not None
    return np.array([planted.of_seed(seed) for seed in range(seeds)]).T[..., None]


def board(
    question: str, transfers: Sequence[float], seeds: int, backbone: float, random: np.random.Generator
) -> SimulatedBoard:
    """Draw methods whose students have these shares of the difference between their teachers.

    Args:
        question: "planted" or "architecture".
        transfers: the truth of each method.
        seeds: K.
        backbone: standard deviation of the effect of backbones.
        random: of the board.
    """
    noise = Noise.of_board(seeds, backbone, random)
    gap = PLANTED if question == "planted" else FAMILIES
    of_teachers, of_students = noise.shared(), noise.shared()
    teachers = [sign / 2 * sizes(question, seeds) * gap + of_teachers + noise.of_network() for sign in (1, -1)]
    followed = teachers[0] - teachers[1]
    measured = noise.measured(teachers[0]) - noise.measured(teachers[1])
    rows = []
    for share in transfers:
        students = [sign / 2 * share * followed + of_students + noise.of_network() for sign in (1, -1)]
        rows.append(Contrast(noise.measured(students[0]) - noise.measured(students[1]), measured, images=1000))
    return SimulatedBoard(tuple(rows), of_students + noise.of_network())


def one_bit_board(seeds: int, backbone: float, random: np.random.Generator, share: float = 0.9) -> SimulatedBoard:
    """Draw the method that reads "shape or texture" of each teacher, by a dose above one half, and nothing else."""
    noise = Noise.of_board(seeds, backbone, random)
    of_teachers, of_students = noise.shared(), noise.shared()
    teachers, students = [], []
    for dose in doses(seeds):
        teachers.append(noise.measured((dose - 0.5) * PLANTED + of_teachers + noise.of_network()))
        read = (dose > 0.5) - 0.5
        students.append(noise.measured(share * read * PLANTED + of_students + noise.of_network()))
    row = Contrast(students[0] - students[1], teachers[0] - teachers[1], images=1000)
    return SimulatedBoard((row,), of_students + noise.of_network())


def triangle(share: float, seeds: int, backbone: float, random: np.random.Generator) -> Triangle:
    """Draw a student that moved by `share` of the way from independent to a natural teacher."""
    noise = Noise.of_board(seeds, backbone, random)
    of_students, of_teachers = noise.shared(), noise.shared()
    student = noise.measured(share * NATURAL + of_students + noise.of_network())
    independent = noise.measured(of_students + noise.of_network())
    teacher = noise.measured(NATURAL + of_teachers + noise.of_network())
    return Triangle(student, independent, teacher, images=10_000)
