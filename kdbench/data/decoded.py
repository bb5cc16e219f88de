"""CIFAR-10 as arrays that are decoded once: every process after the first one maps them into its memory.

An entry belongs to the bytes of the files that it was decoded from, so that another copy has another entry. Files
whose state in the file system is known (`state_of_files`) are not hashed again.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from kdbench.data.array_types import AnyArray
from kdbench.data.cifar10 import Cifar10, read_cifar10
from kdbench.data.cifar10_copies import BATCHES, SourceLayout, find_copy
from kdbench.data.made_once import entry_folder, made_once
from kdbench.data.store import has_entry
from kdbench.errors import DataError, WriteError
from kdbench.files import atomic_file, state_of_files
from kdbench.spec import Track

VERSION: Final = 2  # of what decoding makes of the files
MOST_COPIES: Final = 4  # of 184 MB each
ARRAYS: Final = ("train_images", "train_labels", "test_images", "test_labels")
FOLDER: Final = ("shared", "cifar10")  # below the cache


def source_of(track: Track, data_root: Path | None, cache: Path) -> Cifar10 | None:
    """Return the images that a track is made from, from `data_root` or else downloaded into the cache.

    Return None for a track whose images are generated.
    """
    return open_cifar10(data_root, cache) if track.data.source == "cifar10" else None


def open_cifar10(root: Path | None, cache: Path) -> Cifar10:
    """Return CIFAR-10 from the entry of a copy, after decoding the copy if it has none.

    Args:
        root: folder of the copy, in one of the three layouts; None to download it.
        cache: folder of the entries, and of the download.

    Raises:
        DataError: as `read_cifar10` does, or the files change while they are decoded.
    """
    if root is None and not (cache / BATCHES).is_dir():
        read_cifar10(None, cache)
    place, folder = cache if root is None else root, cache.joinpath(*FOLDER)
    try:
        stored = find_copy(place)
        layout, files = stored.layout, stored.all_files()
        recipe = _recipe(folder, layout, files)
    except OSError as error:
        raise DataError(f"CIFAR-10 in {place} cannot be read: {error}; fetch it again") from error

    def decode() -> Mapping[str, AnyArray]:
        before = state_of_files(files)
        copy = read_cifar10(root, cache)
        if state_of_files(files) != before:
            raise DataError(f"CIFAR-10 in {place} changed while it was read; give the same command again")
        return {name: getattr(copy, name) for name in ARRAYS}

    arrays = made_once(folder, recipe, decode, most=MOST_COPIES)
    _remember(folder, recipe, files)
    return Cifar10(**arrays, source="original" if layout == "torchvision" else "other", layout=layout)


def _recipe(folder: Path, layout: SourceLayout, files: Sequence[Path]) -> dict[str, str | int]:
    """Return the recipe of a copy's entry: the one that these very files had, else one from their bytes."""
    known = next(folder.glob(f"*/{_mark(files)}"), None)
    return {"version": VERSION, "layout": layout, "files": known.read_text() if known else _digest(files)}


def _remember(folder: Path, recipe: Mapping[str, str | int], files: Sequence[Path]) -> None:
    """Note beside an entry by what its files are known."""
    entry = entry_folder(folder, recipe)
    mark = entry / _mark(files)
    if has_entry(entry) and not mark.exists():
        with suppress(WriteError), atomic_file(mark) as file:  # else the files are hashed again next time
            file.write(str(recipe["files"]).encode())


def _mark(files: Sequence[Path]) -> str:
    return f"copy-{state_of_files(files)[:32]}"


def _digest(files: Sequence[Path]) -> str:
    """Return a digest of the bytes of files, and of their names below the folder that holds them all."""
    digest, place = hashlib.sha256(), os.path.commonpath(files) if files else ""
    for path in files:
        digest.update(f"{path.relative_to(place)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
