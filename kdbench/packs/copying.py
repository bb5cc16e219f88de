"""Copies the official records that ship with kdbench into a results folder, so that a user can go on from there."""

import shutil
from pathlib import Path

from kdbench.errors import InputError
from kdbench.jobs.lock import sole_user
from kdbench.packs.merging import Merged, merge_files
from kdbench.plan.current import write_current
from kdbench.records import find_records
from kdbench.records.official import official_folder
from kdbench.resources import VERSION
from kdbench.spec import Spec
from kdbench.testsets.gallery import GALLERY


def copy_official(results: Path, spec: Spec) -> Merged:
    """Put the official records into a results folder, as `merge` does with those of a pack.

    Args:
        results: the folder; it is made if there is none. No run may be under way in it.
        spec: of the tracks.

    Raises:
        InputError: no official records ship, they are in `results` already, or it has other teachers of their runs.
        RecordError: a record in the results folder is damaged.
        WriteError: the results folder cannot be written.
    """
    official = official_folder()
    if not find_records(official):
        raise InputError(
            f"no official records ship with kdbench {VERSION}, since {official} has none; `kdbench run` makes your "
            "own, and `kdbench results fetch` takes over those of a pack"
        )
    if results.resolve() == official.resolve():
        raise InputError(f"{results} holds the official records themselves; name another folder")
    with sole_user(results):
        merged = merge_files(lambda place: _copy(official, place), official, results)
        write_current(results, spec, copied_from=official)
    return merged


def _copy(official: Path, place: Path) -> None:
    """Copy each record with the files beside it, and the pictures of each track."""
    pictures = official.glob(f"[!.]*/{GALLERY}")
    files = (path for folder in find_records(official) for path in sorted(folder.iterdir()) if path.is_file())
    for path in (*pictures, *files):
        target = place / path.relative_to(official)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
