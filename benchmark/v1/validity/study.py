"""Checks whether the synthetic track can measure transfer: `python benchmark/v1/validity/study.py`.

The script trains the networks that the validity gates need, on tuning seeds (1000 and up), and writes `study.json` and
`STUDY.md`:

- V4: the biases of teachers and independents on all axes, and the distance between the planted teachers;
- V8: the split-half reliability of c over all networks;
- V9: students that also see their teachers' answers on manipulated images must show transfer (tau above .8);
- V10: students of random teachers must show none (the interval of tau contains 0).

GATES.md reports V1, V2, the gates on single classes and the accuracies of V4. This script scores no method, since the
positive control is not a submission. The students of V10 have half of their loss on labels, like the control
`random-teacher`. With the answers of a random teacher alone they stay at chance, where c is not defined; with a CNN as
teacher, this also happens with a tenth of the loss on labels. The answers of such a CNN hardly depend on the image: its
features are all positive, and a random classifier turns their mean into a preference for some classes that is larger
than all differences between images. Networks in the folder `--work` are not trained again; `gates.py` trains
the same teachers and independents.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from conditions import SEEDS, WORK, Network, fit, student_set, teacher_set
from safetensors.torch import save_file
from study_tables import markdown_table

from kdbench.data.synthetic import SceneDraws, render, shipped_tables, training_images
from kdbench.data.training_sets import TrainingSet, saliences_of
from kdbench.evaluation.answers import evaluate, load_network
from kdbench.methods.loading import load_submission
from kdbench.networks.models import new_backbone
from kdbench.records import WEIGHTS, Predictions
from kdbench.resources import cache_folder
from kdbench.scoring.estimates import Score
from kdbench.scoring.measured import MeasuredRun, measure
from kdbench.scoring.resampling import Resampler
from kdbench.scoring.transfer import Contrast, transfer
from kdbench.spec import BIAS_AXES, FAMILIES, Family, Spec, TeacherBias, Track
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.kinds.noise_patch import noisy
from kdbench.testsets.kinds.superpixels import Slic, filled
from kdbench.testsets.kinds.tiles import scrambled
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
BIASES: tuple[TeacherBias, ...] = ("shape", "texture")
PAIRS: tuple[tuple[Family, Family], ...] = (("cnn", "vit"), ("vit", "cnn"))
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Study:
    """The inputs that all parts of the study share."""

    spec: Spec
    track: Track
    work: Path
    test_sets: Mapping[str, Any]
    resampler: Resampler
    _answers: dict[Path, Predictions] = field(default_factory=dict)

    def answers(self, network: Network) -> Predictions:
        """Return the answers of a network on every test set; each network is evaluated only once."""
        if network.folder not in self._answers:
            self._answers[network.folder] = self._evaluated(network)
        return self._answers[network.folder]

    def _evaluated(self, network: Network) -> Predictions:
        loaded = load_network(self.track, network.family, network.folder / WEIGHTS, CPU)
        predictions, _ = evaluate(
            loaded,
            self.test_sets,
            self.track.data,
            device=CPU,
            precision="float32",
            teacher_logits={},
            progress=lambda *_: None,
        )
        return predictions

    def measured(self, network: Network) -> MeasuredRun:
        return measure(self.answers(network), self.track, self.resampler)


def manipulated_set(track: Track, seed: int) -> TrainingSet:
    """Draw training images from the training crops, with every manipulation of the test sets on a sixth of them."""
    count = track.data.num_train
    part, saliences, tables = count // 6, saliences_of(track), shipped_tables()
    base = training_images("validity", seed, count=part, saliences=saliences)
    draws = SceneDraws(tables, "validity", "single-cue", seed, first=0, count=part)
    shape_only = render(tables, draws.scenes(draws.shape_mask(base.labels), draws.neutral_fill()), saliences)
    texture_only = render(tables, draws.scenes(draws.blob_mask(), draws.texture_fill(base.labels, "train")), saliences)
    ids = np.arange(part) + 1_000_000 * (1 + seed)  # numbers that are not those of test images
    grids = [scrambled(base.images, ids, grid=grid) for grid in (2, 4, 8)]
    shuffled = np.stack([grids[row % 3][row] for row in range(part)])
    slic = Slic(**track.primary_sets("locality")[0].parameters)  # type: ignore[arg-type]
    local = filled(base.images, slic.maps(base.images))
    spotted = noisy(base.images, ids, tables.patch, size=8)
    images = np.concatenate([base.images, shape_only, texture_only, local, shuffled, spotted])
    return TrainingSet(images=images, labels=np.tile(base.labels, 6))


def random_teacher(study: Study, family: Family, seed: int, name: str) -> Network:
    """Write the pretrained trunk with a random classifier: a network that answers at chance."""
    folder = study.work / f"random-{family}-{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    backbone = new_backbone(study.track, family, seed=seed * 10 + len(name), number=seed)
    save_file({key: value.contiguous() for key, value in backbone.model.state_dict().items()}, folder / WEIGHTS)
    return Network(family, folder)


def distilled(
    study: Study, teacher: Network, family: Family, data: TrainingSet, seed: int, name: str, *, distill_weight: float
) -> Network:
    """Train a student by logit matching, with a share of its loss on the teacher's answers and the rest on labels."""
    method = load_submission("lm")
    config = method.Config(distill_weight=distill_weight)
    folder = study.work / f"{name}-{family}-{seed}"
    return fit(study.track, family, data, seed=seed, method=method, config=config, teacher=teacher, folder=folder)


def contrast(
    study: Study, students: Sequence[dict[TeacherBias, Network]], teachers: Sequence[dict[TeacherBias, Network]]
) -> Score:
    """Return tau over seeds, from the students of the shape teachers and those of the texture teachers."""

    def side(networks: Sequence[dict[TeacherBias, Network]]) -> tuple[Any, int]:
        rows, images = [], 0
        for pair in networks:
            runs = [study.measured(pair[bias]) for bias in BIASES]
            images = runs[0].images
            profiles = [np.stack([run.axes[axis].bias for axis in BIAS_AXES]) for run in runs]
            rows.append(profiles[0] - profiles[1])
        return np.stack(rows), images

    (student_rows, images), (teacher_rows, _) = side(students), side(teachers)
    return transfer(Contrast(students=student_rows, teachers=teacher_rows, images=images), study.spec.scoring)


def reliability(study: Study, networks: Sequence[Network]) -> float:
    """Return the correlation of c on odd images with c on even images, over all networks and axes (V8)."""
    halves: tuple[list[float], list[float]] = ([], [])
    for network in networks:
        answers = study.answers(network)
        clean = answers["clean"]
        for test_set in study.track.test_sets:
            if test_set.axis not in BIAS_AXES or test_set.diagnostic:
                continue
            on_set = answers[test_set.name]
            for half, values in enumerate(halves):
                rows = np.arange(len(on_set.target)) // study.track.data.num_classes % 2 == half
                clean_rows = np.arange(len(clean.target)) // study.track.data.num_classes % 2 == half
                a = float((on_set.label == on_set.target)[rows].mean())
                a0 = float((clean.label == clean.target)[clean_rows].mean())
                values.append((a - 0.1) / (a0 - 0.1))
    return float(np.corrcoef(*halves)[0, 1])


def profile(study: Study, network: Network) -> dict[str, float]:
    run = study.measured(network)
    shares = {"clean": run.clean, "by shape": run.shape, "by texture": run.texture}
    numbers = {name: float(value[0]) for name, value in shares.items() if value is not None}
    return {**numbers, **{f"c {axis}": float(run.axes[axis].bias[0]) for axis in BIAS_AXES}}


def run_study(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    results: dict[str, Any] = {"profiles": [], "seeds": list(seeds)}
    teachers: dict[Family, list[dict[TeacherBias, Network]]] = {family: [] for family in FAMILIES}
    everyone: list[Network] = []
    for seed in seeds:
        for family in FAMILIES:
            pair = {
                bias: fit(
                    study.track,
                    family,
                    teacher_set(study.track, bias, seed),
                    seed=seed,
                    role="teacher",
                    bias=bias,
                    folder=study.work / f"{family}-{bias}-{seed}",
                )
                for bias in BIASES
            }
            teachers[family].append(pair)
            folder = study.work / f"{family}-independent-{seed}"
            independent = fit(study.track, family, student_set(study.track, seed), seed=seed, folder=folder)
            everyone += [*pair.values(), independent]
            for name, network in {
                **{f"{bias} teacher": pair[bias] for bias in BIASES},
                "independent": independent,
            }.items():
                results["profiles"].append({"network": f"{family} {name}", "seed": seed, **profile(study, network)})
    for family in FAMILIES:
        gaps = []
        for pair in teachers[family]:
            a, b = (study.measured(pair[bias]) for bias in BIASES)
            gaps.append(math.dist(*([float(run.axes[axis].bias[0]) for axis in BIAS_AXES] for run in (a, b))))
        results[f"V4 {family} teachers' distance"] = float(np.mean(gaps))
    results["V8 split-half correlation"] = reliability(study, everyone)
    for teacher_family, family in PAIRS:
        direction = f"{teacher_family}-to-{family}"
        planted = teachers[teacher_family]
        taught, random = [], []
        for seed, pair in zip(seeds, planted, strict=True):
            data = manipulated_set(study.track, seed)
            neutral = student_set(study.track, seed)
            taught.append(
                {b: distilled(study, pair[b], family, data, seed, f"V9-{b}", distill_weight=1.0) for b in BIASES}
            )
            strangers = {b: random_teacher(study, teacher_family, seed, b) for b in BIASES}
            random.append(
                {
                    b: distilled(study, stranger, family, neutral, seed, f"V10-{b}", distill_weight=0.5)
                    for b, stranger in strangers.items()
                }
            )
        results[f"V9 {direction}"] = contrast(study, taught, planted).model_dump()
        results[f"V10 {direction}"] = contrast(study, random, planted).model_dump()
    return results


def independents_biases(profiles: Sequence[Mapping[str, Any]]) -> str:
    """Return the range of the independents' biases, with what V4 requires."""
    rows = [row for row in profiles if row["network"].endswith("independent")]
    biases = [row[f"c {axis}"] for row in rows for axis in BIAS_AXES]
    return f"V4 c of the independents: {min(biases):.3f} to {max(biases):.3f}; required: .03 to .97"


def as_text(results: dict[str, Any]) -> str:
    """Return the study as Markdown."""
    lines = ["# Validity of the synthetic track", "", f"Made by `study.py` on tuning seeds {results['seeds']}.", ""]
    lines += [markdown_table(pd.DataFrame(results["profiles"])), ""]
    lines += [f"- {independents_biases(results['profiles'])}"]
    for key, value in results.items():
        if key in ("profiles", "seeds"):
            continue
        if isinstance(value, dict):
            shown = value.get("reason") or f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
        else:
            shown = f"{value:.3f}"
        lines.append(f"- {key}: {shown}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--work", type=Path, default=WORK)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_spec()
    track = spec.track("synthetic")
    sets = build_test_sets(track, cache_folder(), source=None, workers=1)
    study = Study(spec, track, arguments.work, sets, Resampler(spec.scoring.bootstrap_samples))
    started = time.monotonic()
    results = run_study(study, arguments.seeds)
    (HERE / "study.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "STUDY.md").write_text(as_text(results))
    print(f"done in {(time.monotonic() - started) / 60:.1f} min; see {HERE / 'STUDY.md'}")


if __name__ == "__main__":
    main()
