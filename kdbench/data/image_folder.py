"""Reads one's own images, and the masks of their objects, from folders of image files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kdbench.data.array_types import Images, Integers, Masks
from kdbench.data.training_sets import balanced_subset
from kdbench.errors import DataError

SPLITS: Final = ("test", "val", "validation", "train")  # folders that may stand above the classes, the preferred first
SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MOST_IMAGES: Final = 10_000  # that the tables of test sets have rows for
ALLOWED: Final = "images CLASS/*.jpg or train/CLASS/*.jpg (or .png, .bmp, .webp), with at least two classes"


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder in memory.

    Attributes:
        folder: that holds the folders of the classes.
        class_names: names of these folders, sorted; the position is the class.
        test_images: (n, size, size, 3) uint8: the central square of each image, resized (bicubic).
        test_labels: (n,) int64.
        masks: (n, size, size) bool, True on the object, all False for an image without a mask; None without any masks.
    """

    folder: Path
    class_names: tuple[str, ...]
    test_images: Images
    test_labels: Integers
    masks: Masks | None

    @cached_property
    def test_sha256(self) -> str:
        """The SHA-256 of images, classes and masks, which identifies the source of the arrays made from them."""
        digest = hashlib.sha256(np.ascontiguousarray(self.test_images).data)
        digest.update(self.test_labels.astype("<i8").tobytes())
        if self.masks is not None:
            digest.update(np.packbits(self.masks).tobytes())
        return digest.hexdigest()


def read_image_folder(folder: Path, size: int, *, masks: Path | None = None, most: int = 2000) -> ImageFolder:
    """Read images, and the masks of their objects.

    Args:
        folder: with one folder of images per class, or with `test`, `val` or `train` above these; the first of them
            that is there is read.
        size: pixels per side.
        masks: folder of PNG files with the names and the class folders of the images and the sizes of the images, where
            light pixels (over 127) are the object. Images may lack a mask.
        most: images that are read: the first ones of each class, as evenly as possible; at most 10,000.

    Raises:
        DataError: there are no such images, one cannot be read, or no image has a mask.
    """
    place = _above_classes(folder)
    names = tuple(sorted(path.name for path in _folders(place)))
    files = [_images_in(place / name) for name in names]
    for name, paths in zip(names, files, strict=True):
        if not paths:
            raise DataError(f"{place / name} holds no images ({', '.join(SUFFIXES)}); add some or move it away")
    labels = np.repeat(np.arange(len(names)), [len(paths) for paths in files])
    flat = [path for paths in files for path in paths]
    chosen = balanced_subset(labels, min(most, MOST_IMAGES))
    if len(chosen) < len(names):
        raise DataError(f"{most} images cannot cover the {len(names)} classes of {place}; give a larger --limit-test")
    paths = [flat[row] for row in chosen]
    images = np.stack([_image(path, size) for path in paths])
    return ImageFolder(place, names, images, labels[chosen], _masks(paths, place, masks, size) if masks else None)


def _above_classes(folder: Path) -> Path:
    """Return the folder that holds the folders of the classes."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give a folder with {ALLOWED}")
    try:
        place = next((folder / name for name in SPLITS if (folder / name).is_dir()), folder)
        count = len(_folders(place))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}; fix its permissions") from error
    if count < 2:
        raise DataError(f"{place} holds {count} folders of classes; expected {ALLOWED}")
    return place


def _folders(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _image(path: Path, size: int) -> Images:
    with _opened(path) as image:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC), np.uint8)


def _opened(path: Path) -> Image.Image:
    """Return a decoded image; DataError if the file is not one."""
    try:
        image = Image.open(path)
        image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be decoded as an image ({error}); replace it or move it away") from error
    return image


def _masks(paths: Sequence[Path], place: Path, folder: Path, size: int) -> Masks:
    """Return the masks of images, cut and resized like these; DataError if there is not a single one."""
    if not folder.is_dir():
        raise DataError(f"--masks {folder} is not a folder; give a folder with CLASS/NAME.png for each image")
    root = folder / place.name if (folder / place.name).is_dir() and place.name in SPLITS else folder
    masks = np.zeros((len(paths), size, size), bool)
    wanted = [(root / path.relative_to(place)).with_suffix(".png") for path in paths]
    for row, (path, mask) in enumerate(zip(paths, wanted, strict=True)):
        if mask.is_file():
            masks[row] = _mask(mask, path, size)
    if not masks.any():
        raise DataError(f"no image has a mask in {folder}: {wanted[0]} and the others are missing or black; add masks")
    return masks


def _mask(path: Path, of_image: Path, size: int) -> Masks:
    with _opened(path) as mask, _opened(of_image) as image:
        if mask.size != image.size:
            sizes = [f"{width} x {height}" for width, height in (mask.size, image.size)]
            raise DataError(f"{path} has {sizes[0]} pixels, but its image has {sizes[1]}; give a mask of the same size")
        return np.asarray(ImageOps.fit(mask.convert("L"), (size, size), Image.Resampling.NEAREST)) > 127
