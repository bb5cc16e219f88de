"""A track's built test sets in one file, so that one laboratory builds them and all others verify them.

The file is a zip archive. Its `archive.json` lists the contents; each set is a folder as in the store, with manifest
and arrays.
"""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from kdbench.data.store import MANIFEST, has_entry, read_entry, read_manifest
from kdbench.errors import DataError, describe_invalid
from kdbench.files import DAMAGES, atomic_file, unpack
from kdbench.spec import FrozenModel, TestSet, Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.frozen import SourceKind, manifest_path
from kdbench.testsets.frozen import read_manifest as read_frozen
from kdbench.testsets.store import TestSetStore

CONTENTS = "archive.json"
FAST = 1  # level of compression; a higher one is slower and hardly shrinks silhouettes further


class ArchiveContents(FrozenModel):
    """The contents of an archive.

    Attributes:
        track, testsets: name and test sets digest of the track.
        source, source_sha256: of the images that the sets were made from; the digest is None for generated images.
        folders: by set, its folder in the archive.
    """

    format: Literal[1] = 1
    track: str
    testsets: str
    source: SourceKind
    source_sha256: str | None
    folders: Annotated[dict[str, str], Field(min_length=1)]


def export_test_sets(store: TestSetStore, kind: SourceKind, path: Path, *, diagnostics: bool) -> ArchiveContents:
    """Write the built sets of a track into an archive, after verifying them.

    Args:
        store: of the track.
        kind: of the source of the images.
        path: of the archive.
        diagnostics: whether to include the diagnostic sets.

    Raises:
        DataError: a set is not built, or its bytes are not those that were written.
        WriteError: the archive cannot be written.
    """
    entries = {test_set.name: store.entry(test_set) for test_set in store.sets(diagnostics=diagnostics)}
    for entry in entries.values():
        read_entry(entry.folder, entry.recipe, ())
    contents = ArchiveContents(
        track=store.track.name,
        testsets=store.track.testsets_digest,
        source=kind,
        source_sha256=store.source_sha256,
        folders={name: entry.folder.name for name, entry in entries.items()},
    )
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST) as archive:
        archive.writestr(CONTENTS, contents.model_dump_json(indent=1))
        for entry in entries.values():
            for name in _files(entry.folder):
                archive.write(entry.folder / name, f"{entry.folder.name}/{name}")
    return contents


def _files(folder: Path) -> tuple[str, ...]:
    """Return the files of an entry, its manifest last."""
    return (*(f"{name}.npy" for name in read_manifest(folder)["arrays"]), MANIFEST)


def import_test_sets(
    path: Path, tracks: Mapping[str, Track], cache: Path
) -> tuple[ArchiveContents, dict[str, TestArrays]]:
    """Put the sets of an archive into the store, after verifying each of them.

    Args:
        path: of the archive.
        tracks: of the spec.
        cache: folder of the store.

    Returns:
        The contents of the archive, and the arrays of its sets.

    Raises:
        DataError: the file is not an archive, is damaged or belongs to another spec or recipe, or a set is not the
            frozen one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            contents = _contents(archive, path)
            store = _expected(contents, tracks, path, cache)
            _put(archive, contents, store, path)
    except OSError as error:
        raise DataError(f"archive {path} cannot be read: {error.strerror or error}; give another file") from error
    except DAMAGES as error:
        raise DataError(f"{path} is not an archive of test sets, or it is damaged: {error}; get it again") from error
    return contents, {test_set.name: store.open(test_set) for test_set in _sets(contents, store.track)}


def _put(archive: zipfile.ZipFile, contents: ArchiveContents, store: TestSetStore, path: Path) -> None:
    """Unpack the sets into a temporary folder in the cache, verify them, and move them to their place."""
    cache = store.cache
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".importing-") as folder:
            place = Path(folder) / contents.track
            _unpack(archive, contents, place)
            _verify(contents, replace(store, cache=Path(folder)), path)
            _move(contents, place, cache / contents.track)
    except OSError as error:
        raise DataError(
            f"the test sets cannot be written into {cache}: {error.strerror or error}; free space, or set the "
            "environment variable KDBENCH_CACHE to another folder"
        ) from error


def _contents(archive: zipfile.ZipFile, path: Path) -> ArchiveContents:
    try:
        return ArchiveContents.model_validate(json.loads(archive.read(CONTENTS)))
    except ValidationError as error:
        reason = f"its {CONTENTS} is not valid: {describe_invalid(error, ArchiveContents)}"
        raise DataError(f"{path} is not an archive of test sets: {reason}; get another file") from error
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path} is not an archive of test sets: it has no valid {CONTENTS}; get another file"
        ) from error


def _expected(contents: ArchiveContents, tracks: Mapping[str, Track], path: Path, cache: Path) -> TestSetStore:
    """Return the store of the sets that this installation would build from the same images.

    Raises:
        DataError: the archive belongs to another spec.
    """
    track = tracks.get(contents.track)
    if track is None:
        raise DataError(f"{path} holds test sets of the track {contents.track!r}; this spec has: {', '.join(tracks)}")
    if track.testsets_digest != contents.testsets:
        raise DataError(
            f"{path} holds test sets of another spec: its test sets digest is {contents.testsets[:12]}..., and that of "
            f"this spec is {track.testsets_digest[:12]}...; get an archive for this version"
        )
    store = TestSetStore(track, cache, contents.source_sha256)
    for test_set in _sets(contents, track):
        if contents.folders[test_set.name] != store.entry(test_set).folder.name:
            raise DataError(
                f"{path} holds the set {test_set.name}, made by the recipe of another version; get another archive"
            )
    return store


def _sets(contents: ArchiveContents, track: Track) -> list[TestSet]:
    known = {test_set.name: test_set for test_set in evaluated_sets(track, diagnostics=True)}
    unknown = contents.folders.keys() - known.keys()
    if unknown:
        raise DataError(
            f"the archive holds the set {min(unknown)!r}, which track {contents.track} does not have; get another one"
        )
    return [known[name] for name in contents.folders]


def _unpack(archive: zipfile.ZipFile, contents: ArchiveContents, place: Path) -> None:
    """Copy the files of the listed folders; DataError for any other file."""
    folders = set(contents.folders.values())
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        if info.filename == CONTENTS:
            continue
        if len(parts) != 2 or parts[0] not in folders or Path(parts[1]).name != parts[1]:
            raise DataError(
                f"the archive holds the file {info.filename!r}, which belongs to no set; get the archive again"
            )
        unpack(archive, info, place / parts[0] / parts[1])


def _verify(contents: ArchiveContents, unpacked: TestSetStore, path: Path) -> None:
    """Compare every array with its manifest, the manifest with the recipe, and the set with the frozen one."""
    frozen = {
        row.set: row.sha256
        for row in read_frozen(manifest_path(unpacked.track))
        if row.track == contents.track and row.source == contents.source
    }
    for test_set in _sets(contents, unpacked.track):
        sha256 = _digest_of(test_set, unpacked, path)
        expected = frozen.get(test_set.name, sha256)
        if sha256 != expected:
            raise DataError(
                f"{path} holds the set {test_set.name} with the sha256 {sha256[:12]}..., but the frozen set has "
                f"{expected[:12]}...; get an archive of the frozen sets"
            )


def _digest_of(test_set: TestSet, unpacked: TestSetStore, path: Path) -> str:
    """Return the digest of an unpacked set, as a frozen manifest lists it."""
    try:
        return unpacked.open(test_set).sha256
    except DataError as error:  # its message names a temporary folder
        reason = str(error).partition(";")[0].replace(f"{unpacked.cache / unpacked.track.name}{os.sep}", "")
        raise DataError(
            f"{path} holds the set {test_set.name}, which is damaged ({reason}); get the archive again"
        ) from error


def _move(contents: ArchiveContents, place: Path, target: Path) -> None:
    """Move verified folders to their place in the store."""
    target.mkdir(parents=True, exist_ok=True)
    for folder in contents.folders.values():
        if not has_entry(target / folder):
            shutil.rmtree(target / folder, ignore_errors=True)
            (place / folder).replace(target / folder)
