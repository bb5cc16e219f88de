"""Every reader of a file that somebody else may have written, with damaged contents for it."""

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray
from torch import nn

from kdbench.evaluation.kept import read_logits, read_maps
from kdbench.leaderboard.published import read_published
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.loading import load_submission, parse_config
from kdbench.networks.models import read_weights
from kdbench.networks.weights import load_into
from kdbench.plan.controls import read_controls
from kdbench.plan.options import parse_seeds
from kdbench.plan.sweeps import read_sweeps
from kdbench.records import (
    LOGITS,
    OCCLUSION,
    PREDICTIONS,
    RESULT,
    SNAPSHOTS,
    WEIGHTS,
    Record,
    read_predictions,
    read_record,
    read_snapshots,
    write_snapshots,
)
from kdbench.records.current import CURRENT, CurrentRecords, read_current
from kdbench.records.frames import load_results
from kdbench.records.storage import record_digest
from kdbench.records.verification import TOLERANCES, VERIFICATION, Differences, Verification, read_verification
from kdbench.resources import shipped
from kdbench.review.card import CARD, SubmissionCard, read_card, write_card
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.frames import load_scores
from kdbench.spec import SPEC_PATH
from kdbench.testsets.frozen import read_manifest as read_frozen
from kdbench.testsets.spec import load_spec
from kdbench.timing.step_times import read_timings
from kdbench.training.checkpoints import CHECKPOINT, load_checkpoint, save_checkpoint
from kdbench.training.outcome import OUTCOME, TrainingOutcome, read_outcome
from tests.fuzz.commands import command_properties
from tests.fuzz.images import CLASSES, image_targets
from tests.fuzz.mutations import (
    arrays_of,
    damaged_bytes,
    damaged_json,
    damaged_npz,
    damaged_python,
    damaged_toml,
)
from tests.fuzz.property import Property, Target, seal_again
from tests.fuzz.reports import report_properties
from tests.fuzz.trainings import damaged_weights, training_properties
from tests.record_factory import write_matrix
from tests.timing.timing_files import entry, timing_bytes

Place = Callable[[str], Path]
"""Returns a new folder for a target of this name."""


def targets(root: Path) -> list[Target]:
    """Return every reader of a file, with what each needs below a folder."""
    return [*_of_records(root), *_of_specs(root), *image_targets(root), *_of_weights(root), *_of_methods(root)]


def properties(root: Path) -> dict[str, Property]:
    """Return everything that must hold, by name, with what each needs below a folder."""
    readers = [target.as_property() for target in targets(root)]
    made = [*training_properties(root), *report_properties(root), *command_properties(root)]
    return {each.name: each for each in [*readers, *made]}


def _of_records(root: Path) -> list[Target]:
    folder = write_matrix(root / "matrix", images=20, directions=("cnn-to-vit",))[-1]
    result, answers = (folder / RESULT).read_bytes(), arrays_of(folder / PREDICTIONS)
    record = read_record(folder)
    lone, whole = root / "predictions", (folder / PREDICTIONS).read_bytes()
    of_record = st.one_of(*[damaged_npz(answers)] * 3, damaged_bytes(whole, most_edits=1))
    labels = {name: np.zeros((3, done.images), np.int16) for name, done in record.test.items()}
    return [
        Target("record", root / "record", RESULT, damaged_json(result), read_record),
        Target("results", root / "results", f"t/r/{RESULT}", damaged_json(result), load_results),
        Target("predictions", lone, PREDICTIONS, of_record, lambda place: read_predictions(place, record)),
        Target("answers", root / "answers", PREDICTIONS, damaged_npz(answers), read_predictions),
        _snapshots(root / "snapshots", folder, labels),
        Target("logits", root / "logits", LOGITS, damaged_npz(_few_logits()), read_logits),
        Target("maps", root / "maps", OCCLUSION, damaged_npz({"maps": np.zeros((4, 3, 3), np.float32)}), read_maps),
        Target("current", root / "current", CURRENT, damaged_json(_current_lists()), read_current),
        Target("scores", root / "scores", "scores.json", damaged_json(_scores(root)), load_scores),
        Target(
            "timings", root / "timings", "timing.json", damaged_json(_timings()), _reading(read_timings, "timing.json")
        ),
        _scored(root / "scored", result),
        _verification(root / "verification", record),
    ]


def _reading(read: Callable[[Path], object], file: str) -> Callable[[Path], object]:
    return lambda folder: read(folder / file)


def _few_logits() -> dict[str, NDArray[Any]]:
    return {name: np.ones((6, CLASSES), np.float16) for name in ("clean", "noise")}


def _current_lists() -> bytes:
    return (
        CurrentRecords(current=("a-1", "b-1"), outdated=("c-1",), codes={"lm": ("a" * 64,)}).model_dump_json().encode()
    )


def _snapshots(place: Path, record: Path, labels: Mapping[str, NDArray[np.int16]]) -> Target:
    shutil.copytree(record, place)
    write_snapshots(place, labels)
    named = (PREDICTIONS,)
    return Target("snapshots", place, SNAPSHOTS, damaged_npz(arrays_of(place / SNAPSHOTS)), read_snapshots, named)


def _scores(root: Path) -> bytes:
    write_scores(score(root / "matrix", load_spec()), root / "scores.json")
    return (root / "scores.json").read_bytes()


def _timings() -> bytes:
    return timing_bytes([entry("lm", 0.1), entry("independent", 0.1)])


def _scored(place: Path, result: bytes) -> Target:
    """Return the scoring of a small results folder in which one record is forged, with digests that fit."""
    folders = write_matrix(place, images=20, directions=("cnn-to-vit",))
    forged = folders[-1]

    def read(results: Path) -> object:
        seal_again(forged)
        scores = score(results, load_spec())
        return None if (forged.parent.name, forged.name) in scores.left_out else scores

    named = tuple(folder.name for folder in folders)
    return Target("scored", place, str((forged / RESULT).relative_to(place)), damaged_json(result), read, named)


def _verification(place: Path, record: Record) -> Target:
    verification = Verification(
        of=record_digest(record),
        by="somebody",
        when="2026-01-01T00:00:00+00:00",
        how="evaluated",
        machine=record.environment,
        verdict="equal",
        tolerance=TOLERANCES["evaluated"],
        differences=Differences(
            accuracy=0.0, accuracy_on="clean", answers=0.0, answers_on="clean", probability=0.0, identical=True
        ),
    )
    whole = verification.model_dump_json().encode()
    return Target(
        "verification", place, VERIFICATION, damaged_json(whole), lambda folder: read_verification(folder, record)
    )


def _of_specs(root: Path) -> list[Target]:
    frozen = b"\n".join(shipped("datasets", "synthetic", "manifest.toml").read_bytes().split(b"\n")[:40])
    table = sorted(shipped("leaderboard", "published").glob("*.toml"))[0].read_bytes()
    controls = shipped("benchmark", "controls", "controls.toml").read_bytes()
    return [
        Target("spec", root / "spec", "spec.toml", damaged_toml(shipped(*SPEC_PATH).read_bytes()), _read_spec),
        Target("frozen", root / "frozen", "m.toml", damaged_toml(frozen), _reading(read_frozen, "m.toml")),
        Target("card", root / "card", CARD, damaged_toml(_card(root / "card")), read_card),
        Target("published", root / "published", "t.toml", damaged_toml(table), read_published),
        Target("controls", root / "controls", "c.toml", damaged_toml(controls), _reading(read_controls, "c.toml")),
    ]


def _read_spec(folder: Path) -> object:
    load_spec.cache_clear()
    try:
        spec = load_spec(folder / "spec.toml")
    finally:
        load_spec.cache_clear()
    return [
        (track.training_digest, track.testsets_digest, spec.scoring_digest(name)) for name, track in spec.tracks.items()
    ]


def _card(folder: Path) -> bytes:
    """Return what a submission says of itself, as it is written."""
    card = SubmissionCard(
        method="mine",
        summary="copies its teacher",
        paper="arXiv:2601.00001",
        images="both networks see the images of the batch as they are",
        authors=("Ada Lovelace", "Grace Hopper"),
        citation="Lovelace & Hopper (2026)",
        licence="MIT",
        code="c" * 64,
        track="synthetic",
        device="cpu",
        seeds=(0, 1),
    )
    write_card(folder, card)
    return (folder / CARD).read_bytes()


def _of_weights(root: Path) -> list[Target]:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    pickled = io.BytesIO()
    torch.save(network.state_dict(), pickled)
    save_checkpoint(root / "made", {"epoch": 1, "model": network.state_dict(), "optimiser": {"state": {}, "lr": 0.1}})
    checkpoint = (root / "made" / CHECKPOINT).read_bytes()
    outcome = TrainingOutcome(status="ok", weights="0" * 64, curves=({"loss": 1.0},)).model_dump_json().encode()

    def load(folder: Path) -> bool:
        load_into(network, folder / "w.pth", ignored=lambda name: False)
        return True

    return [
        Target(
            "weights",
            root / "weights",
            WEIGHTS,
            damaged_weights(network.state_dict()),
            _reading(read_weights, WEIGHTS),
        ),
        Target("pth", root / "pth", "w.pth", damaged_bytes(pickled.getvalue()), load),
        Target("checkpoint", root / "checkpoint", CHECKPOINT, damaged_bytes(checkpoint), _load_checkpoint),
        Target("outcome", root / "outcome", OUTCOME, damaged_json(outcome), read_outcome),
    ]


def _load_checkpoint(folder: Path) -> object:
    before = torch.get_rng_state()
    try:
        return load_checkpoint(folder)
    finally:
        torch.set_rng_state(before)


def _of_methods(root: Path) -> list[Target]:
    sources = [submission_path(name).read_bytes() for name in list_submissions()]
    lm = load_submission("lm")

    def parse(folder: Path) -> object:
        text = (folder / "texts").read_bytes().decode("utf-8", "surrogateescape")
        given = read_sweeps(text.split("\n"))
        return {name: [parse_config(lm, values) for values in settings] for name, settings in given.items()}

    def parse_all_seeds(folder: Path) -> object:
        return parse_seeds((folder / "seeds").read_bytes().decode("utf-8", "surrogateescape"))

    return [
        Target("method", root / "method", "m.py", damaged_python(sources), _reading(read_method_file, "m.py")),
        Target("config", root / "config", "texts", CONFIG_TEXTS, parse, ("--config", "setting ", "method ")),
        Target("seeds", root / "seeds", "seeds", SEED_TEXTS, parse_all_seeds, ("--seeds",)),
    ]


_VALUES = st.sampled_from(("1", "0", "-1", "nan", "inf", "1e999", "true", "", "1.", "١", "0x1", "\x1b[31m", "9" * 5000))
_KEYS = st.sampled_from(("temperature", "distill_weight", "", "__class__", "temperature.x", "\x00"))
_NUMBERS = st.floats(0, 1) | st.integers(-1, 9)
CONFIG_TEXTS: SearchStrategy[bytes] = st.one_of(
    st.builds("lm.{}={}".format, st.sampled_from(("temperature", "distill_weight")), _NUMBERS),
    st.builds("lm.{}={}".format, _KEYS, _VALUES | st.text(max_size=10)),
    st.text(max_size=30),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
SEED_TEXTS: SearchStrategy[bytes] = (
    st.text(alphabet="0123456789-, \u0661x", max_size=14) | st.sampled_from(("0-" + "9" * 30, "9" * 5000, "-" * 5000))
).map(str.encode)


def with_folder(target: Target, folder: Path) -> Target:
    """Return a target that works in another folder."""
    return replace(target, folder=folder)
