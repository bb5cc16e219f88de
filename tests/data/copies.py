"""Small copies of CIFAR-10 in each layout: two training images and one test image a class, of random pixels."""

import hashlib
import io
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from kdbench.data import cifar10
from kdbench.data.array_types import Split
from kdbench.data.cifar10 import CLASSES

PER_CLASS: dict[Split, int] = {"train": 2, "test": 1}


def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets readers expect a small copy instead of 60,000 images."""
    for split, count in PER_CLASS.items():
        monkeypatch.setitem(cifar10.IMAGES_PER_CLASS, split, count)


def pixels(split: Split) -> NDArray[np.uint8]:
    """(n, 32, 32, 3) the images of a split, class after class and by digest within one, as a copy is sorted."""
    drawn = np.random.default_rng(len(split)).integers(0, 256, (len(CLASSES), PER_CLASS[split], 32, 32, 3), np.uint8)
    sorted_images = [sorted(of_class, key=lambda image: hashlib.sha256(image).digest()) for of_class in drawn]
    return np.concatenate([np.stack(of_class) for of_class in sorted_images])


def labels(split: Split) -> NDArray[np.int64]:
    """(n,) their classes."""
    return np.repeat(np.arange(len(CLASSES)), PER_CLASS[split])


def png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


def write_parquet(root: Path, split: Split, images: Sequence[bytes | None], classes: Sequence[float]) -> Path:
    path = root / f"{split}-00000-of-00001.parquet"
    cells = [{"bytes": image, "path": None} for image in images]
    parquet.write_table(pa.table({"img": cells, "label": list(classes)}), path)
    return path


def parquet_copy(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for split in PER_CLASS:
        write_parquet(root, split, [png(image) for image in pixels(split)], labels(split).tolist())
    return root


def folder_copy(root: Path) -> Path:
    for split in PER_CLASS:
        for number, (image, label) in enumerate(zip(pixels(split), labels(split), strict=True)):
            path = root / split / CLASSES[label] / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))
    return root


def torchvision_copy(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Batches whose checksums torchvision is told to expect."""
    from torchvision.datasets import CIFAR10

    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    sums = {}
    names: dict[Split, str] = {"train": "data_batch_1", "test": "test_batch"}
    for split, name in names.items():
        planes = pixels(split).transpose(0, 3, 1, 2).reshape(-1, 3072)
        sums[name] = _pickled(folder / name, {"data": planes, "labels": labels(split).tolist()})
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": _pickled(folder / "batches.meta", {"label_names": CLASSES}),
    }
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return root


def _pickled(path: Path, value: object) -> str:
    path.write_bytes(pickle.dumps(value))
    return hashlib.md5(path.read_bytes()).hexdigest()
