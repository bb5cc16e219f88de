"""A track's built test sets as one file, so that one lab builds them and every other verifies them.

A zip file: `archive.json` says what it holds, and each set is a folder as the store has it, manifest and arrays.
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
from kdbench.files import DAMAGES, atomic_file
from kdbench.spec import FrozenModel, TestSet, Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.frozen import SourceKind, manifest_path
from kdbench.testsets.frozen import read_manifest as read_frozen
from kdbench.testsets.store import TestSetStore

CONTENTS = "archive.json"
FAST = 1  # level of compression: silhouettes shrink a hundredfold at any
PIECE = 2**20  # bytes copied at once


class ArchiveContents(FrozenModel):
    """What an archive says of itself.

    Attributes:
        track, testsets: name and test sets digest of the track that the sets are of.
        source, source_sha256: of the images that they were made from; None for generated ones.
        folders: by set, the folder in the archive.
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
        kind: of the images that the sets were made from.
        path: of the archive.
        diagnostics: with the diagnostic sets.

    Raises:
        DataError: a set is not built, or not the bytes that were written.
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
    """Put the sets of an archive into the store; each appears there only when it has been verified.

    Args:
        path: of the archive.
        tracks: of the spec.
        cache: the store.

    Returns:
        What the archive says of itself, and its sets, opened.

    Raises:
        DataError: the file is not an archive, or it is damaged, of another spec or recipe, or not what is frozen.
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
    """Unpack into a folder in the cache, and move what was verified to its place."""
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
    """Return the store of what this installation would build from the same images.

    Raises:
        DataError: the archive is of another spec.
    """
    track = tracks.get(contents.track)
    if track is None:
        raise DataError(f"{path} holds test sets of a track {contents.track!r}; this spec has {', '.join(tracks)}")
    if track.testsets_digest != contents.testsets:
        raise DataError(
            f"{path} holds test sets of another spec (test sets digest {contents.testsets[:12]}..., "
            f"here {track.testsets_digest[:12]}...); get one of this version"
        )
    store = TestSetStore(track, cache, contents.source_sha256)
    for test_set in _sets(contents, track):
        if contents.folders[test_set.name] != store.entry(test_set).folder.name:
            raise DataError(f"{path} holds the set {test_set.name} of another recipe than this version's; get another")
    return store


def _sets(contents: ArchiveContents, track: Track) -> list[TestSet]:
    known = {test_set.name: test_set for test_set in evaluated_sets(track, diagnostics=True)}
    unknown = contents.folders.keys() - known.keys()
    if unknown:
        raise DataError(f"the archive holds a set {min(unknown)!r} that track {contents.track} does not have")
    return [known[name] for name in contents.folders]


def _unpack(archive: zipfile.ZipFile, contents: ArchiveContents, place: Path) -> None:
    """Copy the files of the named folders, and nothing that would lie elsewhere."""
    folders = set(contents.folders.values())
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        if info.filename == CONTENTS:
            continue
        if len(parts) != 2 or parts[0] not in folders or Path(parts[1]).name != parts[1]:
            raise DataError(f"the archive holds a file {info.filename!r} that belongs to no set; get it again")
        target = place / parts[0] / parts[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, PIECE)


def _verify(contents: ArchiveContents, unpacked: TestSetStore, path: Path) -> None:
    """Compare every array with its set's manifest, that with the recipe, and the set with what is frozen."""
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
                f"{path} holds a set {test_set.name} with the sha256 {sha256[:12]}..., frozen is {expected[:12]}...; "
                "get the frozen one"
            )


def _digest_of(test_set: TestSet, unpacked: TestSetStore, path: Path) -> str:
    """Return the digest that the frozen manifest would have of an unpacked set."""
    try:
        return unpacked.open(test_set).sha256
    except DataError as error:  # which tells of a folder that is gone soon
        reason = str(error).partition(";")[0].replace(f"{unpacked.cache / unpacked.track.name}{os.sep}", "")
        raise DataError(f"{path} holds a damaged set {test_set.name} ({reason}); get it again") from error


def _move(contents: ArchiveContents, place: Path, target: Path) -> None:
    """Move verified folders to where the store looks for them."""
    target.mkdir(parents=True, exist_ok=True)
    for folder in contents.folders.values():
        if not has_entry(target / folder):
            shutil.rmtree(target / folder, ignore_errors=True)
            (place / folder).replace(target / folder)
