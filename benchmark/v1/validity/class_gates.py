"""Checks the repaired single-cue sets class by class: `python benchmark/v1/validity/class_gates.py`.

The script trains independents and planted teachers of both families on tuning seeds (1000 and up), scores no method,
and writes `by_class.csv`: for each network, set and class, the accuracy on the class and its share of all answers. The
gates, each for every family and every seed:

- no class draws more than `MOST_ANSWERS` of the answers of a shape teacher on `texture`, or of a texture teacher on
  `shape`;
- the accuracy of independents on `shape` and on `texture` is `LEAST_ACCURACY` or more for at least `LEAST_CLASSES`
  classes;
- V2: the accuracies of independents on `shape` and on `texture`, as means over seeds, are at most `MOST_IMBALANCE`
  apart.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from conditions import fit, predicted, student_set, teacher_set

from kdbench.data.array_types import Integers
from kdbench.data.synthetic import TestCondition, condition_images
from kdbench.data.training_sets import saliences_of
from kdbench.spec import FAMILIES, TeacherBias, Track
from kdbench.testsets.spec import load_spec

TABLE = Path(__file__).with_name("by_class.csv")
COLUMNS = ("family", "network", "seed", "set", "class", "accuracy", "answers")
INDEPENDENT = "independent"
OTHER_CUE: dict[TeacherBias, TestCondition] = {"shape": "texture", "texture": "shape"}
MOST_ANSWERS, LEAST_ACCURACY, LEAST_CLASSES, MOST_IMBALANCE = 0.20, 0.20, 8, 0.10


def rows_of_network(
    family: str, network: str, seed: int, name: str, answers: Integers, labels: Integers
) -> pd.DataFrame:
    """Return the rows of a network on a set, one per class.

    Args:
        family, network, seed, name: for the table; `network` is the bias of a teacher or "independent".
        answers: (n,) predicted classes.
        labels: (n,) right classes, each of which occurs.
    """
    classes = np.unique(labels)
    accuracy = [float((answers == labels)[labels == each].mean()) for each in classes]
    share = [float((answers == each).mean()) for each in classes]
    values = (family, network, seed, name, classes, np.round(accuracy, 4), np.round(share, 4))
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def failures(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for every gate that a table does not pass."""
    for key, rows in table.groupby(["family", "network", "seed", "set"], sort=False):
        family, network, seed, name = map(str, key)
        where = f"{family} {network}, seed {seed}, on {name}"
        most = rows.answers.max()
        if (network, name) in OTHER_CUE.items() and most > MOST_ANSWERS:
            yield f"{where}: a class draws {most:.2f} of the answers; allowed: {MOST_ANSWERS:.2f}"
        good = int((rows.accuracy >= LEAST_ACCURACY).sum())
        if network == INDEPENDENT and good < LEAST_CLASSES:
            yield f"{where}: {good} classes have an accuracy of {LEAST_ACCURACY:.2f} or more; required: {LEAST_CLASSES}"
    independents = table[table.network == INDEPENDENT]
    for family in independents.family.unique():
        rows = independents[independents.family == family]
        means = rows.groupby("set").accuracy.mean()
        gap = round(abs(means["shape"] - means["texture"]), 4)
        if gap > MOST_IMBALANCE:
            yield f"{family} independents: shape and texture are {gap:.2f} apart (V2); allowed: {MOST_IMBALANCE:.2f}"


def measure(track: Track, seed: int) -> Iterator[pd.DataFrame]:
    """Train the networks of a seed and yield their rows."""
    sets: dict[TestCondition, int] = {each.name: each.images for each in track.test_sets if each.name in OTHER_CUE}  # type: ignore[misc]
    drawn = {name: condition_images(name, count=count, saliences=saliences_of(track)) for name, count in sets.items()}
    for family in FAMILIES:
        networks = {INDEPENDENT: fit(track, family, student_set(track, seed), seed=seed)}
        for bias in OTHER_CUE:
            data = teacher_set(track, bias, seed)
            networks[bias] = fit(track, family, data, seed=seed, role="teacher", bias=bias)
        for network, trained in networks.items():
            for name, images in drawn.items():
                answers = predicted(track, trained, images.images)
                yield rows_of_network(family, network, seed, name, answers, images.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001, 1002])
    parser.add_argument("--out", type=Path, default=TABLE)
    arguments = parser.parse_args()
    track = load_spec().track("synthetic")
    table = pd.concat([rows for seed in arguments.seeds for rows in measure(track, seed)])
    table.to_csv(arguments.out, index=False)
    print(*failures(table), f"see {arguments.out}", sep="\n")


if __name__ == "__main__":
    main()
