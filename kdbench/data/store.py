"""Built arrays on disk, which are memory-mapped and verified when they are opened.

An entry is a folder of `.npy` files and a `manifest.json`, which is written last. A folder without a manifest is not an
entry, so a killed build leaves nothing that can be opened.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.data.array_types import AnyArray
from kdbench.errors import DataError, WriteError, remedy
from kdbench.files import DAMAGES, atomic_file

MANIFEST = "manifest.json"


def array_sha256(*arrays: AnyArray) -> str:
    """Return the SHA-256 of the concatenated bytes of arrays, little-endian and in C order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def write_entry(
    folder: Path, recipe: Mapping[str, Any], arrays: Mapping[str, AnyArray], facts: Mapping[str, Any]
) -> None:
    """Write an entry. It exists as soon as its manifest does.

    Args:
        folder: of the entry.
        recipe: everything that determines the arrays, as JSON values.
        arrays: by name.
        facts: about the arrays (counts, coverage), as JSON values.

    Raises:
        DataError: the folder cannot be written or the disk is full; no entry is left in it.
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
    """Return whether an entry was completed in `folder`."""
    return (folder / MANIFEST).exists()


def read_entry(folder: Path, recipe: Mapping[str, Any], names: Sequence[str]) -> dict[str, AnyArray]:
    """Return the arrays of an entry, memory-mapped and read-only, after comparing their digests.

    Args:
        folder: of the entry.
        recipe: with which it was written.
        names: of arrays that it must have; it may have more.

    Raises:
        DataError: the entry is missing, has another recipe, lacks one of these arrays, or its bytes are not those that
            were written.
    """
    manifest = read_manifest(folder)
    written, expected = manifest["recipe"], _as_json(recipe)
    if written != expected:
        keys = sorted(key for key in {*written, *expected} if written.get(key) != expected.get(key))
        raise DataError(
            f"{folder} holds arrays of another recipe or source (different: {', '.join(keys)}); "
            "move it elsewhere or choose another folder"
        )
    for name in names:
        if name not in manifest["arrays"]:
            raise _damaged(folder, f"it does not list the array {name}")
    return {name: _mapped(folder / f"{name}.npy", facts) for name, facts in manifest["arrays"].items()}


def _damaged(folder: Path, reason: object) -> DataError:
    return DataError(f"{folder / MANIFEST} is damaged: {reason}; {_build_again(folder)}")


def _build_again(folder: Path) -> str:
    return f"move {folder} elsewhere to build it again"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of an entry; DataError if it is missing or damaged."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        if complaint := _complaint(manifest):
            raise ValueError(complaint)
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no built arrays; build them with `kdbench data build`") from error
    except OSError as error:
        reason = f"{error.strerror or error}; {remedy(error, _build_again(folder))}"
        raise DataError(f"{folder / MANIFEST} cannot be read: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, error) from error
    return manifest


def _complaint(manifest: object) -> str:
    """Return in words what is wrong with the structure of a manifest; empty if nothing is wrong."""
    if not isinstance(manifest, dict):
        return "it is not a table"
    wrong = [key for key in ("recipe", "facts", "arrays") if not isinstance(manifest.get(key), dict)]
    if wrong:
        return f"it has no table {wrong[0]}"
    for name, facts in manifest["arrays"].items():
        if not isinstance(facts, dict) or Path(name).name != name:
            return f"it describes the array {name!r}, which cannot exist"
    return ""


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value as JSON would give it back (tuples become lists)."""
    result: dict[str, Any] = json.loads(json.dumps(dict(value)))
    return result


def _mapped(path: Path, expected: Mapping[str, Any]) -> AnyArray:
    try:
        array: AnyArray = np.load(path, mmap_mode="r", allow_pickle=False)
        sha256 = array_sha256(array)
    except DAMAGES as error:
        reason = f"{error}; {remedy(error, _build_again(path.parent))}"
        raise DataError(f"{path} cannot be read: {reason}") from error
    actual = {"shape": list(array.shape), "dtype": array.dtype.str, "sha256": sha256}
    for key, value in actual.items():
        if value != expected.get(key):
            raise DataError(f"{path} has the {key} {value}, expected {expected.get(key)}; {_build_again(path.parent)}")
    return array
