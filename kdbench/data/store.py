"""Built arrays on disk: memory-mapped, verified when opened, whole or not there.

An entry is a folder of `.npy` files and a `manifest.json` that is written last. A folder without a manifest does not
count, so a build that was killed leaves nothing that loads.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError, WriteError
from kdbench.files import atomic_file

MANIFEST = "manifest.json"
Array = NDArray[Any]


def array_sha256(*arrays: Array) -> str:
    """SHA-256 of the bytes of arrays, one after the other, little-endian and in C order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def write_entry(folder: Path, recipe: Mapping[str, Any], arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Writes an entry; it exists once its manifest does.

    Args:
        folder: of this entry alone.
        recipe: all that decides the arrays, as JSON values.
        arrays: by name.
        facts: what is worth knowing about them (counts, coverage), as JSON values.

    Raises:
        DataError: the folder cannot be written or the disk is full; nothing that loads is left.
    """
    manifest = {
        "recipe": dict(recipe),
        "facts": dict(facts),
        "arrays": {
            name: {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": array_sha256(array)}
            for name, array in arrays.items()
        },
    }
    try:
        for name, array in arrays.items():
            with atomic_file(folder / f"{name}.npy") as file:
                np.save(file, array, allow_pickle=False)
        with atomic_file(folder / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
    except WriteError as error:
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        raise DataError(
            f"built arrays cannot be written into {folder}: {reason}; free space, or set the environment variable "
            "KDBENCH_CACHE to another folder"
        ) from error


def has_entry(folder: Path) -> bool:
    """Whether an entry was completed in `folder`."""
    return (folder / MANIFEST).exists()


def read_entry(folder: Path, recipe: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of an entry, memory-mapped and read-only, after their digests were compared.

    Raises:
        DataError: the entry is missing, of another recipe, or not the bytes that were written; later, an array is asked
            for that it does not have.
    """
    manifest = read_manifest(folder)
    if manifest["recipe"] != _as_json(recipe):
        keys = sorted(
            key for key in {*manifest["recipe"], *recipe} if manifest["recipe"].get(key) != _as_json(recipe).get(key)
        )
        raise DataError(
            f"{folder} holds arrays of another recipe or source (different: {', '.join(keys)}); "
            "delete it or choose another folder"
        )
    arrays = _Arrays(folder)
    arrays.update((name, _mapped(folder / f"{name}.npy", facts)) for name, facts in manifest["arrays"].items())
    return arrays


class _Arrays(dict[str, Array]):
    """Arrays of an entry by name."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, name: str) -> Array:
        raise _damaged(self._folder, f"it names no array {name}")


def _damaged(folder: Path, reason: object) -> DataError:
    return DataError(f"{folder / MANIFEST} is damaged: {reason}; delete {folder} to build it again")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an entry; DataError if it is missing or damaged."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if complaint := _complaint(manifest):
            raise ValueError(complaint)
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no built arrays; build them with `kdbench data build`") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, error) from error
    return manifest


def _complaint(manifest: object) -> str:
    """What is wrong with the types of a manifest, in words; empty if nothing is."""
    if not isinstance(manifest, dict):
        return "it is no table"
    wrong = [key for key in ("recipe", "facts", "arrays") if not isinstance(manifest.get(key), dict)]
    if wrong:
        return f"it has no table {wrong[0]}"
    for name, facts in manifest["arrays"].items():
        if not isinstance(facts, dict) or Path(name).name != name:
            return f"it describes an array {name!r} that cannot be"
    return ""


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value as it reads after a trip through JSON (tuples become lists)."""
    result: dict[str, Any] = json.loads(json.dumps(dict(value)))
    return result


def _mapped(path: Path, expected: Mapping[str, Any]) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}; delete {path.parent} to build it again") from error
    found = {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": array_sha256(array)}
    for key, value in found.items():
        if value != expected.get(key):
            raise DataError(
                f"{path} has the {key} {value}, expected {expected.get(key)}; delete {path.parent} to build it again"
            )
    return array
