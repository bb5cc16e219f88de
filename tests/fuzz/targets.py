"""Every reader of a file that somebody else may have written, with damaged contents for it."""

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import nn

from kdbench.data import cifar10
from kdbench.data.store import MANIFEST, read_entry, write_entry
from kdbench.data.synthetic import read_tables
from kdbench.evaluation.kept import read_logits, read_maps
from kdbench.leaderboard.published import read_published
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.loading import load_submission, parse_config
from kdbench.networks.models import read_weights
from kdbench.networks.weights import load_into
from kdbench.plan.controls import read_controls
from kdbench.plan.options import parse_configs, parse_seeds
from kdbench.records import (
    LOGITS,
    OCCLUSION,
    PREDICTIONS,
    RESULT,
    SNAPSHOTS,
    WEIGHTS,
    read_predictions,
    read_record,
    read_snapshots,
    write_snapshots,
)
from kdbench.records.current import CURRENT, CurrentRecords, read_current
from kdbench.records.frames import load_results
from kdbench.resources import shipped
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.frames import load_scores
from kdbench.spec import SPEC_PATH, Track
from kdbench.testsets.archive import export_test_sets, import_test_sets
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.frozen import read_manifest as read_frozen
from kdbench.testsets.gallery import GALLERY, read_gallery, write_gallery
from kdbench.testsets.spec import load_spec
from kdbench.testsets.store import TestSetStore
from kdbench.timing.step_times import read_timings
from kdbench.training.checkpoints import CHECKPOINT, load_checkpoint, save_checkpoint
from kdbench.training.outcome import OUTCOME, TrainingOutcome, read_outcome
from tests.fuzz.mutations import (
    damaged_bytes,
    damaged_json,
    damaged_npy,
    damaged_npz,
    damaged_python,
    damaged_toml,
    damaged_zip,
)
from tests.fuzz.property import Target
from tests.record_factory import write_matrix

Place = Callable[[str], Path]
"""Returns a new folder for a target of this name."""

CLASSES = len(cifar10.CLASSES)


def targets(root: Path) -> dict[str, Target]:
    """Return every target by name, with what each needs below a folder."""
    made = [*_of_records(root), *_of_specs(root), *_of_test_sets(root), *_of_sources(root), *_of_weights(root)]
    return {target.name: target for target in [*made, *_of_methods(root)]}


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file."""
    with np.load(path) as arrays:
        return dict(arrays)


def _of_records(root: Path) -> list[Target]:
    folder = write_matrix(root / "matrix", images=20)[-1]
    result, answers = (folder / RESULT).read_bytes(), arrays_of(folder / PREDICTIONS)
    record = read_record(folder)
    lone = root / "predictions"
    labels = {name: np.zeros((3, done.images), np.int16) for name, done in record.test.items()}
    return [
        Target("record", root / "record", RESULT, damaged_json(result), read_record),
        Target("results", root / "results", f"t/r/{RESULT}", damaged_json(result), load_results),
        Target("predictions", lone, PREDICTIONS, damaged_npz(answers), lambda place: read_predictions(place, record)),
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
    info = {"method": "lm", "track": "synthetic", "direction": "cnn-to-vit", "device": "cpu", "batch_size": 64}
    stats = {"median": 0.1, "q1": 0.1, "q3": 0.2, "rounds": 3, "iqr": 0.1, "mean": 0.1, "min": 0.1}
    entry = {"extra_info": info, "stats": stats}
    return json.dumps({"machine_info": {"cpu": {"brand_raw": "a CPU"}}, "benchmarks": [entry, entry]}).encode()


def _scored(place: Path, result: bytes) -> Target:
    """Return the scoring of a small results folder in which one record is damaged."""
    folders = write_matrix(place, images=20)
    file = str((folders[-1] / RESULT).relative_to(place))
    named = tuple(folder.name for folder in folders)
    return Target("scored", place, file, damaged_json(result), lambda results: score(results, load_spec()), named)


def _of_specs(root: Path) -> list[Target]:
    frozen = b"\n".join(shipped("datasets", "synthetic", "manifest.toml").read_bytes().split(b"\n")[:40])
    table = sorted(shipped("leaderboard", "published").glob("*.toml"))[0].read_bytes()
    controls = shipped("benchmark", "controls", "controls.toml").read_bytes()
    return [
        Target("spec", root / "spec", "spec.toml", damaged_toml(shipped(*SPEC_PATH).read_bytes()), _read_spec),
        Target("frozen", root / "frozen", "m.toml", damaged_toml(frozen), _reading(read_frozen, "m.toml")),
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


def small_track() -> Track:
    """Return the synthetic track with ten images per test set."""
    track = load_spec().track("synthetic")
    small = tuple(test_set.model_copy(update={"images": 10}) for test_set in track.test_sets)
    return track.model_copy(update={"test_sets": small})


def _of_test_sets(root: Path) -> list[Target]:
    track, store = small_track(), root / "store"
    built = build_test_sets(track, store, source=None)
    write_gallery(root / "pictures", track, built)
    pictures = arrays_of(root / "pictures" / track.name / GALLERY)
    tables = arrays_of(shipped("datasets", "synthetic", "tables.npz"))
    small_tables = {name: array[:1] for name, array in tables.items()}
    return [
        Target("gallery", root / "gallery", GALLERY, damaged_npz(pictures), _reading(read_gallery, GALLERY)),
        Target("tables", root / "tables", "tables.npz", damaged_npz(small_tables), _reading(read_tables, "tables.npz")),
        *_entries(root),
        _archive(root / "archive", track, store),
    ]


def _entries(root: Path) -> list[Target]:
    recipe = {"set": {"name": "clean"}}
    arrays: dict[str, NDArray[Any]] = {"images": np.arange(24, dtype=np.uint8), "index": np.arange(4)}
    for name in ("entry", "array"):
        write_entry(root / name, recipe, arrays, {"coverage": 1.0})
    manifest = (root / "entry" / MANIFEST).read_bytes()

    def read(folder: Path) -> object:
        return read_entry(folder, recipe, ("images",))

    return [
        Target("entry", root / "entry", MANIFEST, damaged_json(manifest), read, ("entry",)),
        Target("array", root / "array", "index.npy", damaged_npy(arrays["index"]), read),
    ]


def _archive(place: Path, track: Track, store: Path) -> Target:
    export_test_sets(TestSetStore.of(track, store, source=None), "generated", store / "sets.zip", diagnostics=False)
    with zipfile.ZipFile(store / "sets.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    damages = {name: damaged_json(content) for name, content in members.items() if name.endswith(".json")}
    whole = sum(1 for name in members if name.endswith(MANIFEST))

    def read(folder: Path) -> object:
        return import_test_sets(folder / "sets.zip", {track.name: track}, folder / "cache")

    def after(folder: Path, read_well: bool) -> None:
        arrived = list((folder / "cache").rglob("*"))
        assert not any(path.name.startswith(".") for path in arrived), "a temporary file is left"
        entries = [path for path in arrived if path.name == MANIFEST]
        assert len(entries) <= whole if read_well else not entries, "a set of a refused archive arrived"
        shutil.rmtree(folder / "cache", ignore_errors=True)

    return Target("archive", place, "sets.zip", damaged_zip(members, damages), read, ("archive",), after)


def _of_sources(root: Path) -> list[Target]:
    """Return readers of small copies of CIFAR-10: one image per class and split."""
    images = np.random.default_rng(0).integers(0, 256, (CLASSES, 32, 32, 3), np.uint8)
    encoded = [_png(image) for image in images]
    parquet_file, png_file = "train-00000-of-00001.parquet", f"test/{cifar10.CLASSES[3]}/0.png"
    for split in cifar10.IMAGES_PER_CLASS:
        _write_parquet(root / "parquet" / f"{split}-00000-of-00001.parquet", encoded)
        for name, content in zip(cifar10.CLASSES, encoded, strict=True):
            path = root / "folder" / split / name / "0.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    content = (root / "parquet" / parquet_file).read_bytes()
    return [
        Target("parquet", root / "parquet", parquet_file, damaged_bytes(content), _read_small_copy, ("parquet",)),
        Target("png", root / "folder", png_file, damaged_bytes(encoded[3]), _read_small_copy),
    ]


def _read_small_copy(folder: Path) -> object:
    expected = dict(cifar10.IMAGES_PER_CLASS)
    try:
        cifar10.IMAGES_PER_CLASS.update(dict.fromkeys(expected, 1))
        return cifar10.read_cifar10(folder, folder)
    finally:
        cifar10.IMAGES_PER_CLASS.update(expected)


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


def _write_parquet(path: Path, encoded: list[bytes]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": content, "path": None} for content in encoded]
    parquet.write_table(pa.table({"img": cells, "label": list(range(CLASSES))}), path)


def _of_weights(root: Path) -> list[Target]:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    pickled = io.BytesIO()
    torch.save(network.state_dict(), pickled)
    save_checkpoint(root / "made", {"epoch": 1, "model": network.state_dict(), "optimiser": {"state": {}, "lr": 0.1}})
    checkpoint = (root / "made" / CHECKPOINT).read_bytes()
    outcome = TrainingOutcome(status="ok", weights="0" * 64, curves=({"loss": 1.0},)).model_dump_json().encode()
    load = _reading(lambda path: load_into(network, path, ignored=lambda name: False), "w.pth")
    return [
        Target(
            "weights",
            root / "weights",
            WEIGHTS,
            damaged_safetensors(network.state_dict()),
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


@st.composite
def damaged_safetensors(draw: st.DrawFn, state: Mapping[str, torch.Tensor]) -> bytes:
    """Draw a safetensors file whose header or bytes are damaged."""
    content = save(dict(state))
    size = int.from_bytes(content[:8], "little")
    header, tensors = content[8 : 8 + size], content[8 + size :]
    match draw(st.integers(0, 3)):
        case 0:
            return draw(damaged_bytes(content))
        case 1:
            length = draw(st.sampled_from((0, 1, size - 1, size + 1, 2**31, 2**63, 2**64 - 1)))
            return struct.pack("<Q", length) + header + tensors
    changed = draw(damaged_json(header.rstrip()))
    return struct.pack("<Q", len(changed)) + changed + tensors


def _of_methods(root: Path) -> list[Target]:
    sources = [submission_path(name).read_bytes() for name in list_submissions()]
    lm = load_submission("lm")

    def parse(folder: Path) -> object:
        text = (folder / "texts").read_bytes().decode("utf-8", "surrogateescape")
        given = parse_configs(text.split("\n"))
        return {name: parse_config(lm, values) for name, values in given.items()}

    def parse_all_seeds(folder: Path) -> object:
        return parse_seeds((folder / "seeds").read_bytes().decode("utf-8", "surrogateescape"))

    return [
        Target("method", root / "method", "m.py", damaged_python(sources), _reading(read_method_file, "m.py")),
        Target("config", root / "config", "texts", CONFIG_TEXTS, parse, ("--config", "setting ", "method ")),
        Target("seeds", root / "seeds", "seeds", SEED_TEXTS, parse_all_seeds, ("--seeds",)),
    ]


_VALUES = st.sampled_from(("1", "0", "-1", "nan", "inf", "1e999", "true", "", "1.", "١", "0x1", "\x1b[31m", "9" * 5000))
_KEYS = st.sampled_from(("temperature", "distill_weight", "", "__class__", "temperature.x", "\x00"))
CONFIG_TEXTS: SearchStrategy[bytes] = st.one_of(
    st.builds("lm.{}={}".format, _KEYS, _VALUES | st.text(max_size=10)), st.text(max_size=30)
).map(lambda text: text.encode("utf-8", "surrogatepass"))
SEED_TEXTS: SearchStrategy[bytes] = (
    st.text(alphabet="0123456789-, \u0661x", max_size=14) | st.sampled_from(("0-" + "9" * 30, "9" * 5000, "-" * 5000))
).map(str.encode)


def with_folder(target: Target, folder: Path) -> Target:
    """Return a target that works in another folder."""
    return replace(target, folder=folder)
