"""Reads CIFAR-10 from a copy in one of three layouts, and checks it before anything is made from it.

The contents of the folder determine the layout (see `kdbench.data.cifar10_copies`): torchvision's batches, the Hub's
parquet files, or a folder of images per class. Only torchvision's batches have checksums, so only they count as the
original. Any other copy gets an order of its own, by class and then by the digest of the pixels: its layouts have
different orders, and its arrays must not depend on the layout.
"""

import hashlib
import io
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
from kdbench.data.cifar10_copies import BATCHES, PICTURES, SPLITS, SourceLayout, StoredCopy, find_copy
from kdbench.data.cifar10_parquet import read_rows
from kdbench.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32
IMAGES_PER_CLASS = {"train": 5000, "test": 1000}

CopyOrigin = Literal["original", "other"]
LabelledImages = tuple[Images, Integers]


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
    copy = find_copy(root)
    if copy.layout == "torchvision":
        return _read_torchvision(copy.root, download=False)
    read = _read_parquet if copy.layout == "parquet" else _read_folder
    train, test = (_checked(copy.root, split, read(copy, split)) for split in SPLITS)
    return Cifar10(*_in_order(*train), *_in_order(*test), source="other", layout=copy.layout)


def _in_order(images: Images, labels: Integers) -> LabelledImages:
    """Return the images and labels, sorted by class and then by the SHA-256 of an image's pixels."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    order = np.array(sorted(range(len(labels)), key=lambda row: (labels[row], digests[row])), np.int64)
    return images[order], labels[order]


def _checked(root: Path, split: Split, part: LabelledImages) -> LabelledImages:
    """Return the images and labels; DataError if a class does not have the right number of images."""
    images, labels = part
    expected = IMAGES_PER_CLASS[split]
    if len(labels) != expected * len(CLASSES):
        too_many = "the copy has images twice or is not CIFAR-10"
        reason = "the copy is truncated or not CIFAR-10" if len(labels) < expected * len(CLASSES) else too_many
        raise DataError(
            f"CIFAR-10 in {root} has {len(labels)} {split} images, expected {expected * len(CLASSES)}; "
            f"{reason}: fetch it again"
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


def _read_parquet(copy: StoredCopy, split: Split) -> LabelledImages:
    files = copy.files(split)
    if not files:
        raise DataError(
            f"CIFAR-10 folder {copy.root} has no {split}-*.parquet, only files of the other split; fetch it again"
        )
    images, labels = [], []
    for path in files:
        encoded, classes = read_rows(path, CLASSES)
        labels.append(classes)
        images.append(_decoded(encoded, io.BytesIO, partial("{}, row {}".format, path)))
    return np.concatenate(images), np.concatenate(labels)


def _read_folder(copy: StoredCopy, split: Split) -> LabelledImages:
    folder = copy.folder(split)
    visible = [path for path in folder.glob("[!.]*") if path.is_dir()]
    names = tuple(sorted(path.name.lower() for path in visible))
    if names != CLASSES:
        odd = sorted(set(names) ^ set(CLASSES))
        raise DataError(
            f"{folder} does not have the ten class folders of CIFAR-10 (missing or unknown: {', '.join(odd)}); "
            f"expected {', '.join(CLASSES)}"
        )
    files = copy.files(split)
    if not files:
        raise DataError(f"the class folders in {folder} hold no files that end in {', '.join(PICTURES)}")
    labels = np.asarray([CLASSES.index(path.relative_to(folder).parts[0].lower()) for path in files], np.int64)
    return _decoded(files, lambda path: path, lambda row: str(files[row])), labels


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
