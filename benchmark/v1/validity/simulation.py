"""Checks how often intervals, ranks and tests are right: `python benchmark/v1/validity/simulation.py`.

The script simulates boards with known answers and scores them with the functions that score real ones. Seeds are
correlated as in real runs: a seed determines the training images and initial weights of all students, including
independent, and teachers have their own random streams. All networks answer the same test images, so their errors on
these images are correlated.

The script writes `simulation.csv` and the tables in `SIMULATION.md`. It takes minutes on one core and gives the same
numbers on every run.
"""

import argparse
import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from study_tables import markdown_table

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.corrections import holm
from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.gap import Triangle, gap_closed, gap_number, transfer_index
from kdbench.scoring.intervals import p_above_zero
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.ranking import PrimaryNumber, surely_better
from kdbench.scoring.transfer import Contrast, transfer, transfer_errors, transfer_number
from kdbench.spec import Scoring
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
MARK = "<!-- What follows is written by simulation.py. -->"
SEEDS = (3, 5, 10)
TRUTHS = (0.0, 0.3, 0.8)
EQUAL, SPREAD = (0.4,) * 7, (0.0, 0.0, 0.2, 0.3, 0.4, 0.5, 0.6)
RESAMPLES = 100

PLANTED = np.array([-0.70, 0.75, 0.15, -0.50, 0.55])  # between the two planted teachers; its length is 1.28
NATURAL = np.array([0.14, -0.20, 0.08, -0.18, 0.12])  # between independent and a natural teacher; its length is 0.34
SEED_SHARED, SEED_OWN = 0.02, 0.02  # standard deviations of c over seeds: shared by all students, and of each network
IMAGES_SHARED, IMAGES_OWN = 0.006, 0.006  # errors of c from the finite test sets: shared, and of each network

Cell = str | int | float
Table = list[dict[str, Cell]]


@dataclass(frozen=True)
class Sample:
    """One simulated number: its score, and the data that it is computed from."""

    score: Score
    number: Callable[..., FloatArray]
    parts: tuple[FloatArray, ...]


def networks(means: Sequence[FloatArray], teachers: int, seeds: int, random: np.random.Generator) -> list[FloatArray]:
    """Draw (K, axes, 1 + S) profiles of the networks of one board, teachers last: the data, then the resamples."""
    axes = len(means[0])
    shared = random.normal(0, SEED_SHARED, (seeds, axes, 1))
    images = random.normal(0, IMAGES_SHARED, (axes, 1 + RESAMPLES))
    profiles = []
    for place, mean in enumerate(means):
        own = random.normal(0, SEED_OWN, (seeds, axes, 1))
        common = random.normal(0, SEED_SHARED, (seeds, axes, 1)) if place >= len(means) - teachers else shared
        errors = images + random.normal(0, IMAGES_OWN, (axes, 1 + RESAMPLES))
        errors[:, 1:] += errors[:, :1]  # the resamples vary around the data, and the data vary around the truth
        profiles.append(mean[:, None] + common + own + errors)
    return profiles


def board(taus: Sequence[float], seeds: int, random: np.random.Generator) -> list[Contrast]:
    """Draw methods that transfer these shares of the teachers' difference, with common seeds, images and teachers."""
    means = [half * tau * PLANTED for tau in (*taus, 1.0) for half in (0.5, -0.5)]
    profiles = networks(means, 2, seeds, random)
    *students, teachers = (a - b for a, b in zip(profiles[::2], profiles[1::2], strict=True))
    return [Contrast(student, teachers, images=1000) for student in students]


def triangle(share: float, seeds: int, random: np.random.Generator) -> Triangle:
    """Draw a student that moved by `share` of the way from independent to a natural teacher."""
    student, independent, teacher = networks((share * NATURAL, 0 * NATURAL, NATURAL), 1, seeds, random)
    return Triangle(student, independent, teacher, images=10_000)


def sample_tau(truth: float, seeds: int, random: np.random.Generator, scoring: Scoring) -> Sample:
    (contrast,) = board((truth,), seeds, random)
    return Sample(transfer(contrast, scoring), transfer_number, (contrast.students, contrast.teachers))


def sample_index(truth: float, seeds: int, random: np.random.Generator, scoring: Scoring) -> Sample:
    drawn = triangle(truth, seeds, random)
    parts = (drawn.movement.students, drawn.movement.teachers)
    return Sample(transfer_index(drawn, scoring), transfer_number, parts)


def sample_gap(truth: float, seeds: int, random: np.random.Generator, scoring: Scoring) -> Sample:
    drawn = triangle(truth, seeds, random)
    return Sample(gap_closed(drawn, scoring), gap_number, drawn.parts)


SAMPLERS: Mapping[str, Callable[[float, int, np.random.Generator, Scoring], Sample]] = {
    "tau": sample_tau,
    "TI": sample_index,
    "G": sample_gap,
}


def true_value(name: str, share: float) -> float:
    """Return the true value of a number for a student that moved by `share` of the way."""
    return 1 - (1 - share) ** 2 if name == "G" else share


def random_of(*name: object) -> np.random.Generator:
    """Return the random numbers of one case, which do not depend on the other cases."""
    return np.random.default_rng([ord(letter) for letter in "/".join(map(str, name))])


def coverage(name: str, share: float, seeds: int, repetitions: int, scoring: Scoring) -> dict[str, Cell]:
    """Measure how often the interval contains the truth, and that of the multi-bootstrap on a tenth of the boards."""
    random, truth = random_of("coverage", name, share, seeds), true_value(name, share)
    samples = [SAMPLERS[name](share, seeds, random, scoring) for _ in range(repetitions)]
    estimates = [sample.score for sample in samples if isinstance(sample.score, Estimate)]
    checks = [multi_bootstrap(sample.number, sample.parts, scoring.confidence) for sample in samples[::10]]
    return {
        "number": name,
        "truth": round(truth, 4),
        "seeds": seeds,
        "coverage": float(np.mean([score.low <= truth <= score.high for score in estimates])),
        "multi-bootstrap": float(np.mean([check[0] <= truth <= check[1] for check in checks if check])),
        "bias": float(np.mean([score.value for score in estimates]) - truth),
        "half-width": float(np.mean([score.high - score.low for score in estimates]) / 2),
        "undefined": 1 - len(estimates) / repetitions,
    }


def null_bias(name: str, seeds: int, repetitions: int) -> dict[str, Cell]:
    """Measure the mean of a number that should be 0, with and without correction for noise over seeds.

    Seeds are noisy and the teacher is close.
    The student of a natural teacher is a second independent one; students of planted teachers are alike.
    """
    random, gap = random_of("null", name, seeds), NATURAL[:, None] / 2
    student, independent, teacher = random.normal(0, 0.03, (3, seeds, len(gap), repetitions))
    parts: tuple[FloatArray, ...] = (student, independent, teacher + gap)
    number: Callable[..., FloatArray] = gap_number
    if name != "G":
        number = transfer_number
        moved = student - independent
        parts = (moved, teacher + gap - independent) if name == "TI" else (moved, teacher + gap)
    corrected, plain = number(*parts), number(*(part.mean(axis=0, keepdims=True) for part in parts))
    return {
        "number": name,
        "seeds": seeds,
        "mean": float(np.nanmean(corrected)) if seeds > 1 else float("nan"),
        "mean uncorrected": float(np.nanmean(plain)),
    }


def ranks(taus: Sequence[float], seeds: int, repetitions: int, scoring: Scoring) -> dict[str, Cell]:
    """Measure how often equal and unequal methods are separated, and how often one without transfer gets the badge."""
    random = random_of("ranks", *taus, seeds)
    shares = np.array(taus)
    equal = (shares[:, None] == shares) & ~np.eye(len(taus), dtype=bool)
    wrong, wrong_bare, right, badges = [], [], [], []
    for _ in range(repetitions):
        contrasts = board(taus, seeds, random)
        better = surely_better([_primary(contrast, seeds) for contrast in contrasts], scoring.confidence)
        bare = surely_better([_primary(_without_images(contrast), seeds) for contrast in contrasts], scoring.confidence)
        wrong.append(bool(better[equal].any()))
        wrong_bare.append(bool(bare[equal].any()))
        right.append(float(better[shares[:, None] > shares].mean()) if len(set(taus)) > 1 else float("nan"))
        p_values = np.array(holm([p_above_zero(*transfer_errors(contrast)) for contrast in contrasts]))
        badges.append(bool((p_values[shares == 0] <= 1 - scoring.confidence).any()))
    return {
        "true tau": " ".join(f"{tau:g}" for tau in taus),
        "seeds": seeds,
        "equals told apart": float(np.mean(wrong)),
        "the same, image error left out": float(np.mean(wrong_bare)),
        "unequal pairs told apart": float(np.mean(right)),
        "wrong badge": float(np.mean(badges)) if 0 in taus else float("nan"),
    }


def _primary(contrast: Contrast, seeds: int) -> PrimaryNumber:
    return PrimaryNumber(tuple(range(seeds)), (contrast.students, contrast.teachers), transfer_number)


def _without_images(contrast: Contrast) -> Contrast:
    students, teachers = (np.repeat(part[..., :1], 3, axis=-1) for part in (contrast.students, contrast.teachers))
    return Contrast(students, teachers, contrast.images)


def simulate(repetitions: int, scoring: Scoring) -> dict[str, Table]:
    """Return all tables."""
    return {
        "coverage": [
            coverage(name, share, seeds, repetitions, scoring)
            for name in SAMPLERS
            for share in TRUTHS
            for seeds in SEEDS
        ],
        "null": [null_bias(name, seeds, 20 * repetitions) for name in SAMPLERS for seeds in (1, *SEEDS)],
        "ranks": [ranks(taus, seeds, repetitions, scoring) for taus in (EQUAL, SPREAD) for seeds in (5, 10)],
    }


HEADINGS = {
    "coverage": "How often a 95 % interval contains the truth",
    "null": "Numbers that should be 0, with noisy seeds (.03) and a teacher at a distance of .17",
    "ranks": "Seven methods: which are told apart, and which get the badge",
}


def as_text(tables: Mapping[str, Table]) -> str:
    """Return the tables as Markdown."""
    parts = []
    for name, rows in tables.items():
        parts.append(f"## {HEADINGS[name]}\n\n{markdown_table(pd.DataFrame(rows))}")
    return "\n\n".join(parts) + "\n"


def _cell(value: Cell) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.3f}"
    return str(value)


def write(tables: Mapping[str, Table]) -> None:
    """Write `simulation.csv`, with one line per number, and the part of `SIMULATION.md` that follows the mark."""
    with (HERE / "simulation.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("table", "case", "quantity", "value"))
        for name, rows in tables.items():
            for row in rows:
                keys = [key for key in row if not isinstance(row[key], float) or key == "truth"]
                case = ", ".join(f"{key} {row[key]}" for key in keys)
                writer.writerows((name, case, key, _cell(row[key])) for key in row if key not in keys)
    page = HERE / "SIMULATION.md"
    text = page.read_text().split(MARK)[0] if page.exists() else "# Simulation of the scoring protocol\n\n"
    page.write_text(f"{text}{MARK}\n\n{as_text(tables)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    arguments = parser.parse_args()
    started = time.process_time()
    write(simulate(arguments.repetitions, load_spec().scoring))
    print(f"finished in {time.process_time() - started:.0f} s of CPU time")


if __name__ == "__main__":
    main()
