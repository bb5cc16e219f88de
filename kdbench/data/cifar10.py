"""Reads CIFAR-10 from a copy in one of three layouts, and checks it before anything is made from it.

The contents of the folder determine the layout: torchvision's `cifar-10-batches-py`, the Hub's parquet files, or a
folder of images per class. Only torchvision's batches have checksums, so only they count as the original.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from kdbench.data.array_types import Images, Integers, Split
from kdbench.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32
IMAGES_PER_CLASS = {"train": 5000, "test": 1000}

SourceLayout = Literal["torchvision", "parquet", "image-folder"]
CopyOrigin = Literal["original", "other"]
LabelledImages = tuple[Images, Integers]

BATCHES = "cifar-10-batches-py"
_ALLOWED = (
    f"a folder {BATCHES}, parquet files train-*.parquet and test-*.parquet, "
    "or images train/CLASS/*.png and test/CLASS/*.png"
)


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10 in memory.

    Attributes:
        train_images: (50000, 32, 32, 3) uint8.
        train_labels: (50000,) int64 in [0, 10), the order of `CLASSES`.
        test_images: (10000, 32, 32, 3) uint8.
        test_labels: (10000,) int64.
        source: "original" if the bytes have the checksums that torchvision pins, else "other".
        layout: of the copy on disk.
    """

    train_images: Images
    train_labels: Integers
    test_images: Images
    test_labels: Integers
    source: CopyOrigin
    layout: SourceLayout

    @cached_property
    def test_sha256(self) -> str:
        """The SHA-256 of the test images and their labels, which identifies the source of the arrays made from them."""
        digest = hashlib.sha256(np.ascontiguousarray(self.test_images).data)
        digest.update(self.test_labels.astype("<i8").tobytes())
        return digest.hexdigest()


def read_cifar10(root: Path | None, download_to: Path) -> Cifar10:
    """Read and check CIFAR-10.

    Args:
        root: folder of the copy, in one of the three layouts; None to download it.
        download_to: folder for the download; an existing download there is used again.

    Raises:
        DataError: the folder is missing or empty, has no known layout or several, or has wrong images or labels.
    """
    if root is None:
        return _read_torchvision(download_to, download=True)
    root = _around_batches(root)
    layout = _layout(root)
    if layout == "torchvision":
        return _read_torchvision(root, download=False)
    read = _read_parquet if layout == "parquet" else _read_folder
    train, test = _checked(root, "train", read(root, "train")), _checked(root, "test", read(root, "test"))
    return Cifar10(*train, *test, source="other", layout=layout)


def provenance_of(root: Path | None) -> CopyOrigin:
    """Return the `source` that `read_cifar10` would give to a copy, from its layout alone, without reading images.

    Raises:
        DataError: the folder is missing or empty, or has no known layout or several.
    """
    return "original" if root is None or _layout(_around_batches(root)) == "torchvision" else "other"


def copy_of(root: Path) -> tuple[SourceLayout, list[Path]]:
    """Return the layout of a copy, and the files that it is read from, in a fixed order.

    Raises:
        DataError: the folder is missing or empty, or has no known layout or several.
    """
    root = _around_batches(root)
    layout = _layout(root)
    patterns = {
        "torchvision": (f"{BATCHES}/*",),
        "parquet": ("train-*.parquet", "test-*.parquet"),
        "image-folder": tuple(f"{split}/{name}/*.png" for split in IMAGES_PER_CLASS for name in CLASSES),
    }
    return layout, [path for pattern in patterns[layout] for path in sorted(root.glob(pattern)) if path.is_file()]


def _around_batches(root: Path) -> Path:
    """Return the parent folder if `root` is torchvision's folder of batches, else `root` itself."""
    return root.parent if root.name == BATCHES else root


def _layout(root: Path) -> SourceLayout:
    if not root.is_dir():
        raise DataError(
            f"CIFAR-10 folder {root} does not exist or is not a folder; give a folder that holds {_ALLOWED}, "
            "or omit --data-root to download it"
        )
    try:
        names = sorted(path.name for path in root.iterdir())
    except OSError as error:
        raise DataError(
            f"CIFAR-10 folder {root} cannot be read: {error.strerror}; fix its permissions or give another folder"
        ) from error
    layouts: dict[SourceLayout, bool] = {
        "torchvision": (root / BATCHES).is_dir(),
        "parquet": any(root.glob("train-*.parquet")) or any(root.glob("test-*.parquet")),
        "image-folder": (root / "train").is_dir() or (root / "test").is_dir(),
    }
    present = [layout for layout, there in layouts.items() if there]
    if len(present) == 1:
        return present[0]
    if present:
        raise DataError(
            f"CIFAR-10 folder {root} is ambiguous: it has the layouts {' and '.join(present)}; keep only one of them"
        )
    holds = f"holds {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" if names else "is empty"
    raise DataError(f"CIFAR-10 folder {root} {holds}; expected {_ALLOWED}")


def _checked(root: Path, split: Split, part: LabelledImages) -> LabelledImages:
    """Return the images and labels; DataError if a class does not have the right number of images."""
    images, labels = part
    expected = IMAGES_PER_CLASS[split]
    if len(labels) != expected * len(CLASSES):
        raise DataError(
            f"CIFAR-10 in {root} has {len(labels)} {split} images, expected {expected * len(CLASSES)}; "
            "the copy is truncated or not CIFAR-10: fetch it again"
        )
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        wrong = int(labels[(labels < 0) | (labels >= len(CLASSES))][0])
        raise DataError(
            f"CIFAR-10 in {root} has the {split} label {wrong}, allowed are 0 to {len(CLASSES) - 1}; fetch it again"
        )
    counts = np.bincount(labels, minlength=len(CLASSES))
    if (counts != expected).any():
        worst = int(np.abs(counts - expected).argmax())
        raise DataError(
            f"CIFAR-10 in {root} has {counts[worst]} {split} images of class {CLASSES[worst]}, expected {expected}; "
            "its labels are wrong: fetch it again"
        )
    return images, labels


def _read_torchvision(root: Path, *, download: bool) -> Cifar10:
    """Return torchvision's batches. They are unpickled only if they have the checksums that torchvision pins."""
    from torchvision.datasets import CIFAR10

    try:
        train, test = (CIFAR10(str(root), train=split, download=download) for split in (True, False))
    except (RuntimeError, OSError, EOFError) as error:
        if download:
            raise DataError(
                f"CIFAR-10 cannot be downloaded to {root}: {error}; give a folder that holds it with --data-root"
            ) from error
        raise DataError(
            f"CIFAR-10 batches in {root / BATCHES} are truncated or altered: "
            "their checksums are not torchvision's; download them again"
        ) from error
    parts = [(np.asarray(half.data, np.uint8), np.asarray(half.targets, np.int64)) for half in (train, test)]
    checked = _checked(root, "train", parts[0]), _checked(root, "test", parts[1])
    return Cifar10(*checked[0], *checked[1], source="original", layout="torchvision")


def _read_parquet(root: Path, split: Split) -> LabelledImages:
    files = sorted(root.glob(f"{split}-*.parquet"))
    if not files:
        raise DataError(
            f"CIFAR-10 folder {root} has no {split}-*.parquet, only files of the other split; fetch it again"
        )
    images, labels = [], []
    for path in files:
        encoded, classes = _read_rows(path)
        labels.append(classes)
        images.append(_decoded(encoded, io.BytesIO, partial("{}, row {}".format, path)))
    return np.concatenate(images), np.concatenate(labels)


def _read_rows(path: Path) -> tuple[list[bytes], Integers]:
    """Return the encoded images and the labels of a parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=["img", "label"])
        if not pa.types.is_integer(table.schema.field("label").type):
            raise ValueError(f"label is {table.schema.field('label').type}, expected integers 0 to {len(CLASSES) - 1}")
        names = _class_names(table.schema.metadata)
        encoded = [cell for chunk in table.column("img").chunks for cell in chunk.field("bytes").to_pylist()]
        labels = np.asarray(table.column("label").to_pylist(), dtype=np.int64)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise DataError(
            f"{path} cannot be read as CIFAR-10 parquet (columns img.bytes and label): {reason}; fetch it again"
        ) from error
    if names is not None and names != CLASSES:
        raise DataError(f"{path} names its classes {', '.join(names)}; expected {', '.join(CLASSES)} in this order")
    for row, cell in enumerate(encoded):
        if not cell:
            raise DataError(f"{path}, row {row} has no image bytes; fetch the file again")
    return encoded, labels


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """Return the label names that a Hub file declares; None if it declares none."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _read_folder(root: Path, split: Split) -> LabelledImages:
    folder = root / split
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir())) if folder.is_dir() else ()
    if names != CLASSES:
        odd = sorted(set(names) ^ set(CLASSES))
        raise DataError(
            f"{folder} does not have the ten class folders of CIFAR-10 (missing or unknown: {', '.join(odd)}); "
            f"expected {', '.join(CLASSES)}"
        )
    files = [sorted((folder / name).glob("*.png")) for name in CLASSES]
    labels = np.repeat(np.arange(len(CLASSES)), [len(paths) for paths in files])
    flat = [path for paths in files for path in paths]
    return _decoded(flat, lambda path: path, lambda row: str(flat[row])), labels


def _decoded(sources: Sequence[Any], opened: Callable[[Any], Any], where: Callable[[int], str]) -> Images:
    """Decode images in threads; PIL releases the interpreter lock while it decodes."""
    images = np.empty((len(sources), SIZE, SIZE, 3), np.uint8)

    def decode(rows: range) -> None:
        for row in rows:
            images[row] = _decoded_one(opened(sources[row]), where(row))

    step = 500
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(
            pool.map(decode, (range(start, min(start + step, len(sources))) for start in range(0, len(sources), step)))
        )
    return images


def _decoded_one(file: Any, where: str) -> Images:
    try:
        with Image.open(file) as image:
            if image.size != (SIZE, SIZE) or image.mode != "RGB":
                width, height = image.size
                raise DataError(
                    f"{where} is a {width}x{height} {image.mode} image, not {SIZE}x{SIZE} RGB; fetch the copy again"
                )
            return np.asarray(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, TypeError) as error:
        raise DataError(
            f"{where} cannot be decoded as an image ({error}); the copy is damaged, fetch it again"
        ) from error
