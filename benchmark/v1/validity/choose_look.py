"""Chooses the saliences of the synthetic images: `python benchmark/v1/validity/choose_look.py`.

The script trains only teachers and independents, on tuning seeds (1000 and up), and scores no method. It writes one row
per configuration to `look.csv`: the accuracies that the gates V1, V2 and V4 check, of the independents and the planted
teachers of both families. The shipped rows were measured with earlier backbones; LOOK.md reports V1 with the shipped
ones.
"""

import argparse
import csv
import math
from pathlib import Path

import torch
from conditions import fit, shares, student_set, teacher_set

from kdbench.data import synthetic
from kdbench.data.training_sets import TrainingSet, saliences_of
from kdbench.spec import FAMILIES, Look, Track
from kdbench.testsets.spec import load_spec

TUNING_SEED = 1000
CONDITIONS: tuple[synthetic.TestCondition, ...] = ("clean", "shape", "texture", "cue-conflict")


def single_cue_set(track: Track, cue: str, seed: int) -> TrainingSet:
    """Draw images with a single cue: shapes with neutral fill, or textures in blobs."""
    tables, count = synthetic.shipped_tables(), track.data.num_train
    draws = synthetic.SceneDraws(tables, "synthetic", "single-cue", cue, seed, first=0, count=count)
    labels = torch.arange(count).numpy() % track.data.num_classes
    if cue == "shape":
        scenes = draws.scenes(draws.shape_mask(labels), draws.neutral_fill())
    else:
        scenes = draws.scenes(draws.blob_mask(), draws.texture_fill(labels, "train"))
    return TrainingSet(images=synthetic.render(tables, scenes, saliences_of(track)), labels=labels)


def drawn_conditions(track: Track) -> dict[str, synthetic.Drawn]:
    saliences = saliences_of(track)
    return {
        name: synthetic.condition_images(name, count=900 if name == "cue-conflict" else 1000, saliences=saliences)
        for name in CONDITIONS
    }


def measure(track: Track, seed: int) -> dict[str, float]:
    """Return one row: the numbers that the gates check, for one look."""
    sets, row = drawn_conditions(track), {}
    for family in FAMILIES:
        for cue in ("shape", "texture"):
            oracle = fit(track, family, single_cue_set(track, cue, seed), seed=seed)
            row[f"{family} V1 {cue}"] = shares(track, oracle, {cue: sets[cue]})[cue]
        networks = {"independent": fit(track, family, student_set(track, seed), seed=seed)}
        for bias in ("shape", "texture"):
            data = teacher_set(track, bias, seed)
            networks[f"{bias} teacher"] = fit(track, family, data, seed=seed, role="teacher", bias=bias)
        profiles = {name: shares(track, network, sets) for name, network in networks.items()}
        for name, profile in profiles.items():
            row.update({f"{family} {name} {key}": value for key, value in profile.items()})
        shape, texture = profiles["shape teacher"], profiles["texture teacher"]
        row[f"{family} teacher distance on two axes"] = math.hypot(
            *(shape[k] - texture[k] for k in ("shape", "texture"))
        )
    return {key: round(value, 3) for key, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--looks", nargs="+", required=True, help="each look as CONTRAST,TEXTURE_GAIN,NOISE_GAIN")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("look.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    whole = load_spec().track("synthetic")
    for text in arguments.looks:
        contrast, texture_gain, noise_gain = (int(part) for part in text.split(","))
        look = Look(contrast=contrast, texture_gain=texture_gain, noise_gain=noise_gain)
        track = whole.model_copy(update={"data": whole.data.model_copy(update={"look": look})})
        row = {**look.model_dump(), **measure(track, TUNING_SEED)}
        new = not arguments.out.exists()
        with arguments.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


if __name__ == "__main__":
    main()
