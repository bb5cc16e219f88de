"""Checks the gates of the synthetic track that need training: `python benchmark/v1/validity/gates.py`.

The script trains independents, planted teachers and networks with a single cue, of both families, on tuning seeds (1000
and up). It scores no method. It writes `by_class.csv` (for each network, set and class, the accuracy on the class and
its share of all answers) and `GATES.md`, which states every gate with what was measured. Each gate holds for every
family and, unless it says "as a mean", for every seed. The constants below are the gates.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from conditions import SEEDS, WORK, fit, predicted, single_cue_set, student_set, teacher_set
from study_tables import markdown_table

from kdbench.data.array_types import Integers
from kdbench.data.synthetic import TestCondition, condition_images
from kdbench.data.training_sets import TrainingSet, saliences_of
from kdbench.spec import FAMILIES, TeacherBias, Track
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
TABLE, PAGE = HERE / "by_class.csv", HERE / "GATES.md"
COLUMNS = ("family", "network", "seed", "set", "class", "accuracy", "answers")
INDEPENDENT = "independent"
SETS: tuple[TestCondition, ...] = ("clean", "shape", "texture")
CUES: tuple[TeacherBias, ...] = ("shape", "texture")
OTHER_CUE = {"shape": "texture", "texture": "shape"}
LEAST_SINGLE = 0.90
MOST_ANSWERS, LEAST_ACCURACY, LEAST_CLASSES, MOST_IMBALANCE = 0.20, 0.20, 8, 0.10
CLEAN = (0.85, 0.99)
MOST_BELOW = 0.12  # as `teacher_margin` in the spec
LEAST_APART = 0.8


@dataclass(frozen=True)
class Gate:
    """What a gate requires and what was measured."""

    gate: str
    required: str
    measured: str
    passed: bool


def rows_of_network(
    family: str, network: str, seed: int, name: str, answers: Integers, labels: Integers
) -> pd.DataFrame:
    """Return the rows of a network on a set, one per class.

    Args:
        family, network, seed, name: for the table; `network` is the bias of a teacher, "independent", or "shape-only"
            and "texture-only" of training with a single cue.
        answers: (n,) predicted classes.
        labels: (n,) right classes, each of which occurs.
    """
    classes = np.unique(labels)
    accuracy = [float((answers == labels)[labels == each].mean()) for each in classes]
    share = [float((answers == each).mean()) for each in classes]
    values = (family, network, seed, name, classes, np.round(accuracy, 4), np.round(share, 4))
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def _means(table: pd.DataFrame, network: str) -> pd.DataFrame:
    """Return the accuracies of a kind of network: one row per family and seed, one column per set."""
    rows = table[table.network == network]
    return rows.pivot_table(index=["family", "seed"], columns="set", values="accuracy", aggfunc="mean")


def _shown(values: pd.Series, digits: int = 3) -> str:
    """Return the range of values per family."""
    ranges = []
    for family, group in values.groupby(level="family"):
        low, high = (f"{value:.{digits}f}" for value in (group.min(), group.max()))
        ranges.append(f"{family} {low}" if low == high else f"{family} {low} to {high}")
    return "; ".join(ranges)


def gates(table: pd.DataFrame) -> Iterator[Gate]:
    """Yield every gate.

    Args:
        table: of `by_class.csv`.
    """
    independents = _means(table, INDEPENDENT)
    for cue in CUES:
        single = _means(table, f"{cue}-only")[cue]
        at_least = f"{LEAST_SINGLE:.2f} or more"
        yield Gate(
            f"V1, {cue} alone is learnable", at_least, _shown(single), bool((single.round(4) >= LEAST_SINGLE).all())
        )
    apart = (independents["texture"] - independents["shape"]).groupby(level="family", group_keys=True).mean()
    text = "; ".join(f"{family} {gap:+.3f}" for family, gap in apart.items())
    allowed = f"at most {MOST_IMBALANCE:.2f} apart"
    yield Gate(
        "V2, independents on texture minus shape, as a mean",
        allowed,
        text,
        bool((apart.abs().round(4) <= MOST_IMBALANCE).all()),
    )
    yield from _clean_gates(table, independents["clean"])
    yield from _class_gates(table)


def _clean_gates(table: pd.DataFrame, clean: pd.Series) -> Iterator[Gate]:
    """Yield the gates on clean accuracies and on the distance of the planted teachers (V4)."""
    low, high = CLEAN
    yield Gate(
        "V4, clean accuracy of the independents",
        f"{low:.2f} to {high:.2f}",
        _shown(clean),
        bool(clean.round(4).between(low, high).all()),
    )
    teachers = {cue: _means(table, cue) for cue in CUES}
    lowest = pd.concat([each["clean"] for each in teachers.values()]).groupby(level=["family", "seed"]).min()
    student = clean.rename(index={"cnn": "vit", "vit": "cnn"}, level="family").reindex(lowest.index)
    below = student - lowest
    yield Gate(
        "V4, clean accuracy of a planted teacher below that of the other family's independent",
        f"at most {MOST_BELOW:.2f}",
        _shown(below),
        bool((below.round(4) <= MOST_BELOW).all()),
    )
    corrected = [(each[list(CUES)] - 0.1).div(each["clean"] - 0.1, axis=0) for each in teachers.values()]
    distance = ((corrected[0] - corrected[1]) ** 2).sum(axis=1).map(math.sqrt)
    mean = distance.groupby(level="family").mean().rename_axis("family")
    yield Gate(
        "V4, distance between planted teachers in c of shape and texture, as a mean",
        f"{LEAST_APART:.1f} or more",
        _shown(mean, 2),
        bool((mean >= LEAST_APART).all()),
    )


def _class_gates(table: pd.DataFrame) -> Iterator[Gate]:
    """Yield the gates on single classes."""
    for cue, other in OTHER_CUE.items():
        rows = table[(table.network == cue) & (table.set == other)]
        most = rows.groupby(["family", "seed"]).answers.max()
        yield Gate(
            f"largest share of the answers of a {cue} teacher on `{other}` that a class draws",
            f"at most {MOST_ANSWERS:.2f}",
            _shown(most),
            bool((most <= MOST_ANSWERS).all()),
        )
    for cue in CUES:
        rows = table[(table.network == INDEPENDENT) & (table.set == cue)]
        good = (rows.accuracy >= LEAST_ACCURACY).groupby([rows.family, rows.seed]).sum()
        yield Gate(
            f"classes of `{cue}` that independents recognise at {LEAST_ACCURACY:.2f} or more",
            f"{LEAST_CLASSES} or more",
            _shown(good, 0),
            bool((good >= LEAST_CLASSES).all()),
        )


def as_text(table: pd.DataFrame) -> str:
    """Return the gates as Markdown."""
    rows = [
        {
            "gate": gate.gate,
            "required": gate.required,
            "measured": gate.measured,
            "": "passed" if gate.passed else "**missed**",
        }
        for gate in gates(table)
    ]
    seeds = ", ".join(map(str, sorted(table.seed.unique())))
    head = f"# Gates of the synthetic track\n\nMade by `gates.py` on tuning seeds {seeds}.\n\n"
    return f"{head}{markdown_table(pd.DataFrame(rows))}\n"


def networks(track: Track, seed: int, *, single: bool) -> Iterator[tuple[str, TrainingSet]]:
    """Yield the name and the training set of each network of a seed; both families train on the same images."""
    yield INDEPENDENT, student_set(track, seed)
    for cue in CUES:
        yield cue, teacher_set(track, cue, seed)
        if single:
            yield f"{cue}-only", single_cue_set(track, cue, seed)


def measure(track: Track, seed: int, work: Path, *, single: bool) -> Iterator[pd.DataFrame]:
    """Train the networks of a seed that `work` does not have, and yield the rows of all.

    Args:
        track: `synthetic`.
        seed: of tuning.
        work: folder of the weights.
        single: whether to train with a single cue, too.
    """
    counts = {each.name: each.images for each in track.test_sets}
    saliences = saliences_of(track)
    drawn = {name: condition_images(name, count=counts[name], saliences=saliences) for name in SETS}
    for family in FAMILIES:
        for name, data in networks(track, seed, single=single):
            bias = next((cue for cue in CUES if cue == name), None)
            role = "teacher" if bias else "student"
            trained = fit(track, family, data, seed=seed, role=role, bias=bias, folder=work / f"{family}-{name}-{seed}")
            for condition, images in drawn.items():
                answers = predicted(track, trained, images.images)
                yield rows_of_network(family, name, seed, condition, answers, images.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--work", type=Path, default=WORK)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    track, first = load_spec().track("synthetic"), arguments.seeds[0]
    parts = [rows for seed in arguments.seeds for rows in measure(track, seed, arguments.work, single=seed == first)]
    pd.concat(parts).to_csv(TABLE, index=False)
    PAGE.write_text(as_text(pd.read_csv(TABLE)))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
