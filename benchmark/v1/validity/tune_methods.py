"""Checks whether the published settings of the methods suit this track: `python benchmark/v1/validity/tune_methods.py`.

Every method, and independent, gets two configurations: its defaults, and one alternative that was written down below
before anything was trained. Each configuration is trained on a tuning seed (1000 and up), on five sixths of the neutral
training set; its accuracy is measured on the held-out sixth, and test sets are never read. The accuracy is averaged
over directions and teacher biases. The defaults of a method stay unless their accuracy is lower than that of the
alternative by more than .02. The script writes one row per network to `methods.csv` and the comparison to `METHODS.md`.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from conditions import Network, fit, predicted, student_set, teacher_set
from study_tables import markdown_table

from kdbench.data.training_sets import TrainingSet
from kdbench.methods.directions import declared_directions
from kdbench.methods.loading import load_submission, parse_config
from kdbench.spec import Direction, Family, TeacherBias, Track, families
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
BIASES: tuple[TeacherBias, ...] = ("shape", "texture")
DIRECTIONS: tuple[Direction, ...] = ("cnn-to-vit", "vit-to-cnn")
HELD_OUT = 6  # one image in six is held out
MARGIN = 0.02
RATE = "learning rate"  # factor for the track's learning rate; the alternative of independent, which has no settings

ALTERNATIVES: dict[str, dict[str, float | bool]] = {
    "independent": {RATE: 0.5},
    "lm": {"distill_weight": 0.5},
    "crd": {"prefill": True},
    "sskd": {"similarity_weight": 1.0, "rotated_weight": 0.9},
    "cskd": {"cskd_weight": 0.5},
    "vlfkd": {"global_weight": 0.25, "patch_weight": 0.15, "linguistic_weight": 0.1, "pdd_weight": 0.5},
    "capd": {"attention_weight": 0.3, "feature_weight": 0.3},
}


def with_rate(track: Track, factor: float) -> Track:
    """Return the track with its learning rates multiplied by a factor."""
    slower = {
        family: track.backbones[family].model_copy(
            update={"learning_rate": factor * track.backbones[family].learning_rate}
        )
        for family in ("cnn", "vit")
    }
    return track.model_copy(update={"backbones": track.backbones.model_copy(update=slower)})


def split(data: TrainingSet) -> tuple[TrainingSet, TrainingSet]:
    """Return training and held-out images; the classes alternate, so both stay balanced."""
    cut = len(data.labels) // HELD_OUT * (HELD_OUT - 1)
    return (
        TrainingSet(images=data.images[:cut], labels=data.labels[:cut]),
        TrainingSet(images=data.images[cut:], labels=data.labels[cut:]),
    )


class Tuning:
    """A tuning seed: its data, its teachers, and the training of students with a configuration."""

    def __init__(self, track: Track, seed: int) -> None:
        self.track, self.seed = track, seed
        self.train, self.held_out = split(student_set(track, seed))
        self._teachers: dict[tuple[Family, TeacherBias], Network] = {}

    def teacher(self, family: Family, bias: TeacherBias) -> Network:
        if (family, bias) not in self._teachers:
            data = teacher_set(self.track, bias, self.seed)
            self._teachers[family, bias] = fit(self.track, family, data, seed=self.seed, role="teacher", bias=bias)
        return self._teachers[family, bias]

    def rows(self, name: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the held-out accuracy of every student of a method with one configuration."""
        method = load_submission(name)
        track = with_rate(self.track, values[RATE]) if RATE in values else self.track
        config = parse_config(method, {key: value for key, value in values.items() if key != RATE})
        for direction in DIRECTIONS:
            if direction not in declared_directions(method):
                continue
            teacher_family, family = families(direction)
            for bias in BIASES if method.uses_teacher else (None,):
                teacher = self.teacher(teacher_family, bias) if bias else None
                student = fit(track, family, self.train, seed=self.seed, method=method, config=config, teacher=teacher)
                right = predicted(track, student, self.held_out.images) == self.held_out.labels
                yield {"direction": direction, "teacher": bias or "none", "accuracy": round(float(right.mean()), 4)}


def as_text(rows: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> str:
    """Return the comparison as Markdown."""
    accuracies = pd.DataFrame(rows).groupby(["method", "settings"], sort=False).accuracy
    means = accuracies.agg(lambda values: sum(values) / len(values))  # the mean of pandas rounds ties differently
    table = pd.DataFrame({"held-out accuracy": means, "networks": accuracies.size()}).reset_index()
    lines = ["# Settings of the methods on the synthetic track", ""]
    lines += [f"`tune_methods.py` states the rule and made this page. Tuning seeds: {', '.join(map(str, seeds))}.", ""]
    lines += [markdown_table(table), ""]
    for name in ALTERNATIVES:
        default, alternative = means[name]
        verdict = "the alternative replaces them" if alternative - default > MARGIN else "stay"
        lines.append(f"- {name}: the defaults {verdict} ({default:.3f} against {alternative:.3f}).")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    track = load_spec().track("synthetic")
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        tuning = Tuning(track, seed)
        for name, alternative in ALTERNATIVES.items():
            for values in ({}, alternative):
                settings = ", ".join(f"{key} = {value}" for key, value in values.items()) or "defaults"
                for row in tuning.rows(name, values):
                    rows.append({"method": name, "settings": settings, "seed": seed, **row})
                    print(rows[-1], flush=True)
    with (HERE / "methods.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (HERE / "METHODS.md").write_text(as_text(rows, arguments.seeds))


if __name__ == "__main__":
    main()
