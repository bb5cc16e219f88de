"""Readers of images and of built test sets, with damaged contents for them."""

import io
import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from kdbench.data import cifar10
from kdbench.data.store import MANIFEST, read_entry, write_entry
from kdbench.data.synthetic import read_tables
from kdbench.resources import shipped
from kdbench.spec import Track
from kdbench.testsets.archive import CONTENTS, export_test_sets, import_test_sets
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.gallery import GALLERY, read_gallery, write_gallery
from kdbench.testsets.spec import load_spec
from kdbench.testsets.store import TestSetStore
from tests.fuzz.mutations import arrays_of, damaged_bytes, damaged_json, damaged_npy, damaged_npz, damaged_zip
from tests.fuzz.property import Target

CLASSES = len(cifar10.CLASSES)


def image_targets(root: Path) -> list[Target]:
    """Return the readers of images, each with what it needs below a folder."""
    return [*_of_test_sets(root), *_of_sources(root)]


def small_track() -> Track:
    """Return the synthetic track under another name, of which nothing is frozen, with ten images per test set."""
    track = load_spec().track("synthetic")
    small = tuple(test_set.model_copy(update={"images": 10}) for test_set in track.test_sets)
    return track.model_copy(update={"name": "small", "test_sets": small})


def _of_test_sets(root: Path) -> list[Target]:
    track, store = small_track(), root / "store"
    built = build_test_sets(track, store, source=None)
    write_gallery(root / "pictures", track, built)
    pictures = arrays_of(root / "pictures" / track.name / GALLERY)
    tables = arrays_of(shipped("datasets", "synthetic", "tables.npz"))
    small_tables = {name: array[:1] for name, array in tables.items()}
    return [
        Target(
            "gallery", root / "gallery", GALLERY, damaged_npz(pictures), lambda folder: read_gallery(folder / GALLERY)
        ),
        Target(
            "tables",
            root / "tables",
            "tables.npz",
            damaged_npz(small_tables),
            lambda folder: read_tables(folder / "tables.npz"),
        ),
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
    members = _with_two_sets(store / "sets.zip")
    damages = {name: damaged_json(content) for name, content in members.items() if name.endswith(".json")}

    def read(folder: Path) -> object:
        return import_test_sets(folder / "sets.zip", {track.name: track}, folder / "cache")

    def after(folder: Path, read_well: bool) -> None:
        arrived = list((folder / "cache").rglob("*"))
        assert not any(path.name.startswith(".") for path in arrived), "a temporary file is left"
        sets = [path for path in arrived if path.name == MANIFEST]
        assert bool(sets) == read_well, "a set of a refused archive arrived, or none of an accepted one"
        shutil.rmtree(folder / "cache", ignore_errors=True)

    return Target("archive", place, "sets.zip", damaged_zip(members, damages), read, ("archive",), after)


def _with_two_sets(path: Path) -> dict[str, bytes]:
    """Return the members of an archive, by name, all sets but two left out."""
    with zipfile.ZipFile(path) as archive:
        contents = json.loads(archive.read(CONTENTS))
        contents["folders"] = dict(list(contents["folders"].items())[:2])
        kept = [name for name in archive.namelist() if name.split("/")[0] in contents["folders"].values()]
        return {CONTENTS: json.dumps(contents).encode()} | {name: archive.read(name) for name in kept}


def _of_sources(root: Path) -> list[Target]:
    """Return readers of small copies of CIFAR-10: one image per class and split."""
    images = np.random.default_rng(0).integers(0, 256, (CLASSES, 32, 32, 3), np.uint8)
    encoded = [encoded_image(image) for image in images]
    parquet_file, png_file = "train-00000-of-00001.parquet", f"test/{cifar10.CLASSES[3]}/0.png"
    for split in cifar10.IMAGES_PER_CLASS:
        path = root / "parquet" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_parquet(encoded, range(CLASSES)))
        for name, content in zip(cifar10.CLASSES, encoded, strict=True):
            path = root / "folder" / split / name / "0.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return [
        Target("parquet", root / "parquet", parquet_file, damaged_parquet(encoded), _read_small_copy, ("parquet",)),
        Target("png", root / "folder", png_file, damaged_image(), _read_small_copy),
    ]


def _read_small_copy(folder: Path) -> object:
    expected = dict(cifar10.IMAGES_PER_CLASS)
    try:
        cifar10.IMAGES_PER_CLASS.update(dict.fromkeys(expected, 1))
        return cifar10.read_cifar10(folder, folder)
    finally:
        cifar10.IMAGES_PER_CLASS.update(expected)


def encoded_image(image: NDArray[np.uint8], mode: str = "RGB", kind: str = "PNG", **options: Any) -> bytes:
    """Return an image as the bytes of a file of a kind, in one of PIL's modes."""
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, format=kind, **options)
    return file.getvalue()


@st.composite
def damaged_image(draw: st.DrawFn) -> bytes:
    """Draw an image file, of another size, mode or kind at times, and damaged at times."""
    side = st.sampled_from((32, 32, 32, 32, 1, 31, 300))
    pixels = np.full((draw(side), draw(side), 3), draw(st.integers(0, 255)), np.uint8)
    mode = draw(st.sampled_from(("RGB", "RGB", "RGB", "L", "1", "P", "RGBA", "LA")))
    kind = draw(st.sampled_from(("PNG", "PNG", "PNG", "GIF", "TIFF", "WEBP")))
    content = encoded_image(pixels, mode, kind, compress_level=draw(st.integers(0, 9)))
    return draw(damaged_bytes(content)) if draw(st.booleans()) else content + draw(st.binary(max_size=3))


def as_parquet(cells: Sequence[Any], labels: Sequence[Any], metadata: dict[str, str] | None = None) -> bytes:
    """Return images and labels as a parquet file in the Hub's layout."""
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    rows = {"img": [{"bytes": cell, "path": None} for cell in cells], "label": list(labels)}
    parquet.write_table(pa.table(rows).replace_schema_metadata(metadata), file)
    return file.getvalue()


@st.composite
def damaged_parquet(draw: st.DrawFn, encoded: Sequence[bytes]) -> bytes:
    """Draw a parquet file with other images, labels or class names at times, and damaged at times."""
    cells: list[bytes | None] = list(encoded)
    labels: list[Any] = list(draw(st.permutations(range(CLASSES))))
    if draw(st.integers(0, 3)) == 0:
        cells[draw(st.integers(0, CLASSES - 1))] = draw(st.none() | st.binary(max_size=9) | damaged_image())
    if draw(st.integers(0, 3)) == 0:
        odd = st.sampled_from((-1, CLASSES, 2**62, None))
        labels = [*labels[1:], draw(odd)] if draw(st.booleans()) else [str(label) for label in labels]
    if draw(st.integers(0, 3)) == 0:
        cut = draw(st.integers(0, CLASSES))
        cells, labels = cells[:cut], labels[:cut]
    names = json.dumps({"info": {"features": {"label": {"names": list(cifar10.CLASSES)}}}}).encode()
    declared = draw(st.none() | damaged_json(names)) if draw(st.booleans()) else None
    text = None if declared is None else {"huggingface": declared.decode(errors="replace")}
    content = as_parquet(cells, labels, text)
    return draw(damaged_bytes(content)) if draw(st.booleans()) else content
