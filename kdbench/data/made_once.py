"""Arrays that take long to make: one process makes them, and all others open what it wrote.

Each is an entry of the array store below the folder of its kind. A folder keeps a fixed number of entries, so that the
space on the disk is bounded: those that were opened longest ago are removed. An entry can always be made again, so a
damaged one is replaced, and arrays that cannot be written are used without an entry.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kdbench.data.array_types import AnyArray
from kdbench.data.store import MANIFEST, has_entry, read_entry, write_entry
from kdbench.errors import DataError
from kdbench.spec import digest

ABANDONED_SECONDS = 24 * 3600.0  # after which nobody completes an entry any more
_log = logging.getLogger(__name__)


def made_once(
    folder: Path, recipe: Mapping[str, Any], make: Callable[[], Mapping[str, AnyArray]], *, most: int
) -> Mapping[str, AnyArray]:
    """Return arrays, memory-mapped and verified if they were made before, and newly made and written otherwise.

    Processes that make the same arrays at once write the same bytes, and each file appears complete.

    Args:
        folder: of all entries of this kind.
        recipe: everything that determines the arrays, as JSON values.
        make: returns the arrays by name.
        most: number of entries that the folder may keep.
    """
    entry = entry_folder(folder, recipe)
    if has_entry(entry):
        try:
            arrays = read_entry(entry, recipe, ())
            _note_use(entry)
            return arrays
        except DataError as error:
            _log.warning("%s; it is made again now", error)
    made = make()
    try:
        write_entry(entry, recipe, made, {})
    except DataError as error:
        _log.warning("%s; they are made again whenever they are needed", error)
    _remove_oldest(folder, most)
    return made


def entry_folder(folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Return the folder of the entry of a recipe."""
    return folder / digest(dict(recipe))[:16]


def _note_use(entry: Path) -> None:
    with suppress(OSError):  # of a cache that this user may only read
        os.utime(entry / MANIFEST)


def _remove_oldest(folder: Path, most: int) -> None:
    """Remove the entries beyond a number, and what writers left that were killed."""
    with suppress(OSError):
        ages = {entry: _last_use(entry) for entry in folder.iterdir() if entry.is_dir()}
        complete = sorted((entry for entry in ages if has_entry(entry)), key=lambda entry: ages[entry])
        abandoned = [entry for entry in ages if not has_entry(entry) and time.time() - ages[entry] > ABANDONED_SECONDS]
        for entry in (*complete[: max(0, len(complete) - most)], *abandoned):
            with suppress(OSError):
                (entry / MANIFEST).unlink()  # first, so that no half of an entry can be opened
            shutil.rmtree(entry, ignore_errors=True)


def _last_use(entry: Path) -> float:
    manifest = entry / MANIFEST
    return (manifest if manifest.exists() else entry).stat().st_mtime
