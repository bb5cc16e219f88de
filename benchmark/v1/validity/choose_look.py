"""Chooses look and law of the synthetic images: `python benchmark/v1/validity/choose_look.py`.

The script trains only teachers and independents, on tuning seeds (1000 and up), and scores no method. It appends to
`look.csv` one row per configuration, network and seed, with the accuracies on `clean`, `shape` and `texture`. LOOK.md
says with which tables and backbones its rows were measured, and how the configuration was chosen. `gates.py` measures
every gate for the shipped one.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from conditions import fit, predicted, student_set, teacher_set
from gates import CUES, INDEPENDENT, SETS

from kdbench.data import synthetic
from kdbench.data.training_sets import saliences_of
from kdbench.spec import FAMILIES, Look, Track
from kdbench.testsets.spec import load_spec


class Configuration(NamedTuple):
    """A look, and the distractors of the law as `kdbench/data/synthetic.py` defines them."""

    contrast: int
    texture_gain: int
    noise_gain: int
    blended: int
    ghosted: int
    weakest: int
    strengths: int

    def applied(self, track: Track) -> Track:
        """Set the law for this process, and return the track with the look."""
        synthetic.BLENDED, synthetic.GHOSTED = self.blended, self.ghosted
        synthetic.WEAKEST, synthetic.STRENGTHS = self.weakest, self.strengths
        look = Look(contrast=self.contrast, texture_gain=self.texture_gain, noise_gain=self.noise_gain)
        return track.model_copy(update={"data": track.data.model_copy(update={"look": look})})


def measure(
    configuration: Configuration, names: list[str], seeds: list[int], work: Path
) -> Iterator[dict[str, str | int | float]]:
    """Train the networks that `work` does not have, and yield a row for each.

    Args:
        configuration: look and law.
        names: "independent" or the bias of a teacher.
        seeds: of tuning.
        work: folder of the weights.
    """
    track = configuration.applied(load_spec().track("synthetic"))
    drawn = {name: synthetic.condition_images(name, count=1000, saliences=saliences_of(track)) for name in SETS}
    folder = work / "-".join(map(str, configuration))
    for family in FAMILIES:
        for name in names:
            for seed in seeds:
                bias = next((cue for cue in CUES if cue == name), None)
                data = teacher_set(track, bias, seed) if bias else student_set(track, seed)
                role, place = "teacher" if bias else "student", folder / f"{family}-{name}-{seed}"
                network = fit(track, family, data, seed=seed, role=role, bias=bias, folder=place)
                accuracies: dict[str, float] = {
                    condition: float((predicted(track, network, images.images) == images.labels).mean())
                    for condition, images in drawn.items()
                }
                yield {**configuration._asdict(), "family": family, "network": name, "seed": seed, **accuracies}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configurations", nargs="+", required=True, help=",".join(Configuration._fields).upper())
    parser.add_argument("--networks", nargs="+", default=[INDEPENDENT], choices=[INDEPENDENT, *CUES])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000])
    parser.add_argument("--work", type=Path, default=Path("runs") / "look")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("look.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for text in arguments.configurations:
        configuration = Configuration(*map(int, text.split(",")))
        rows = list(measure(configuration, arguments.networks, arguments.seeds, arguments.work))
        new = not arguments.out.exists()
        with arguments.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            if new:
                writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
