"""The frozen manifest of a data set, which pins the bytes of a track's test arrays."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import tomli_w
from pydantic import BaseModel, ValidationError

from kdbench.data.cifar10 import Cifar10
from kdbench.errors import DataError, InputError, describe_invalid
from kdbench.files import atomic_file
from kdbench.networks.weights import FROM_TIMM, backbone_file, weights_folder, weights_sha256
from kdbench.resources import shipped
from kdbench.spec import FrozenModel, TestSet, Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.diagnostics import evaluated_sets

SourceKind = Literal["generated", "original", "jpeg", "other"]
NOT_ORIGINAL = "the test sets were made from a copy of CIFAR-10 that is not the original (its checksums do not match)"
NOT_JPEG = (
    "the test sets were made from a copy of CIFAR-10 that is not the track's copy in JPEG (its decoded test images "
    "have another SHA-256)"
)


class FrozenArray(FrozenModel):
    """One row of a manifest. Its `source` is "generated" for synthetic images, else the copy of CIFAR-10."""

    track: str
    set: str
    sha256: str
    images: int
    source: SourceKind


class _Manifest(BaseModel):
    """A manifest file: a TOML array of tables."""

    array: tuple[FrozenArray, ...] = ()


def manifest_path(track: Track) -> Path:
    """Return the path of the shipped manifest of a track's data set. The file may not exist."""
    return shipped("datasets", track.data.source, "manifest.toml")


def read_manifest(path: Path) -> tuple[FrozenArray, ...]:
    """Return the rows of a manifest; none if the file does not exist.

    Raises:
        DataError: the file is not a manifest.
    """
    try:
        return _Manifest.model_validate(tomllib.loads(path.read_text())).array
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        reason = describe_invalid(error, _Manifest)
        raise DataError(f"{path} is not a manifest of arrays: {reason}; restore it from the release") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a manifest of arrays: {error}; restore it from the release") from error


def manifest_rows(track: Track, arrays: Mapping[str, TestArrays], source: Cifar10 | None) -> tuple[FrozenArray, ...]:
    """Return the rows of a manifest for these arrays."""
    kind = source_kind(track, source)
    return tuple(
        FrozenArray(track=track.name, set=name, sha256=test_arrays.sha256, images=len(test_arrays), source=kind)
        for name, test_arrays in arrays.items()
    )


def write_manifest(path: Path, rows: tuple[FrozenArray, ...], *, heading: str) -> None:
    """Write a manifest, with `heading` as a comment."""
    tables = tomli_w.dumps({"array": [row.model_dump() for row in rows]})
    with atomic_file(path) as file:
        file.write(f"# {heading}\n\n{tables}".encode())


def write_proposal(
    path: Path,
    track: Track,
    arrays: Mapping[str, TestArrays],
    source: Cifar10 | None,
    weights_dir: Path | None = None,
) -> tuple[FrozenArray, ...]:
    """Write the rows of a manifest for a track's sets, and the digests of its weights, for a person to review.

    Args:
        path: of the proposal; not that of the manifest.
        track: of the spec.
        arrays: the complete sets of the spec.
        source: the copy of CIFAR-10 that they were made from; None on a synthetic track.
        weights_dir: folder of pretrained weights that are not shipped; None for the folder in the cache.

    Raises:
        InputError: the path is that of the manifest.
        WriteError: the proposal cannot be written.
    """
    if path.resolve() == manifest_path(track).resolve():
        raise InputError(f"{path} is the frozen manifest, which only a person may edit; choose another file with --to")
    named = {test_set.name: arrays[test_set.name] for test_set in track.test_sets if test_set.name in arrays}
    rows = manifest_rows(track, named, source)
    write_manifest(path, rows, heading="\n# ".join([proposal_heading(rows), *_weight_lines(track, weights_dir)]))
    return rows


def proposal_heading(rows: tuple[FrozenArray, ...]) -> str:
    """Return a sentence on what to do with a proposal."""
    if any(row.source == "other" for row in rows):
        return (
            "Made from a copy of CIFAR-10 that is not the track's: rows with the source 'other' make no run official."
        )
    return "This is a proposal: review it, then copy its rows into the data set's manifest.toml."


def _weight_lines(track: Track, weights_dir: Path | None) -> list[str]:
    """Return lines with the digests of the track's pretrained weights, as far as this machine has them."""
    files = (backbone_file(spec) for spec in (track.backbones.cnn, track.backbones.vit) if spec.weights == FROM_TIMM)
    paths = (weights_folder(weights_dir) / file.name for file in files)
    return [f"weights_sha256 of {path.name}: {weights_sha256(path)}" for path in paths if path.is_file()]


def source_kind(track: Track, source: Cifar10 | None) -> SourceKind:
    """Return the kind of the source that a track's images came from, as manifests name it."""
    if source is None:
        return "generated"
    return "jpeg" if source.test_sha256 == track.data.jpeg_sha256 else source.source


def differences_from_frozen(
    track: Track,
    arrays: Mapping[str, TestArrays],
    source: Cifar10 | None,
    *,
    manifest: Path | None = None,
) -> tuple[str, ...]:
    """Return the reasons why these arrays are not the frozen ones; empty if every byte is the same.

    Args:
        track: of the spec.
        arrays: by set. Diagnostic sets, variants included, are compared if the manifest has them.
        source: the copy of CIFAR-10 that they were made from; None on a synthetic track.
        manifest: to compare with; None for the shipped one.
    """
    kind = source_kind(track, source)
    if wrong := _wrong_source(track, kind):
        return (wrong,)
    path = manifest or manifest_path(track)
    frozen = _rows_of(path, track.name, kind)
    test_sets = evaluated_sets(track, diagnostics=True)
    reasons = (_difference(each, frozen.get(each.name), arrays.get(each.name), path) for each in test_sets)
    return tuple(reason for reason in reasons if reason)


def _difference(test_set: TestSet, row: FrozenArray | None, arrays: TestArrays | None, manifest: Path) -> str:
    """Return why the arrays of a set are not the frozen ones; empty if they are, or if a diagnostic set is missing."""
    if arrays is not None and row is not None:
        if row.sha256 == arrays.sha256:
            return ""
        return f"test set {test_set.name} ({len(arrays)} images) is not the frozen one ({row.images} images)"
    if test_set.diagnostic:
        return ""
    return f"test set {test_set.name} was not built" if arrays is None else _without_digest(test_set, manifest)


def differences_before_building(track: Track, kind: SourceKind, *, manifest: Path | None = None) -> tuple[str, ...]:
    """Return the reasons of `differences_from_frozen` that are known before the arrays are made.

    Args:
        track: of the spec.
        kind: of the source of the images.
        manifest: to compare with; None for the shipped one.
    """
    if wrong := _wrong_source(track, kind):
        return (wrong,)
    path = manifest or manifest_path(track)
    frozen = _rows_of(path, track.name, kind)
    primary = (test_set for test_set in track.test_sets if not test_set.diagnostic)
    return tuple(_without_digest(test_set, path) for test_set in primary if test_set.name not in frozen)


def _wrong_source(track: Track, kind: SourceKind) -> str:
    """Return why the images are not those that a track measures on; empty if they are."""
    if kind == "generated":
        return ""
    if track.data.jpeg_sha256 is not None:
        return "" if kind == "jpeg" else NOT_JPEG
    return "" if kind == "original" else NOT_ORIGINAL


def _rows_of(path: Path, track_name: str, kind: SourceKind) -> dict[str, FrozenArray]:
    """Return the rows of a manifest for a track and a kind of source, by set."""
    return {row.set: row for row in read_manifest(path) if row.track == track_name and row.source == kind}


def _without_digest(test_set: TestSet, manifest: Path) -> str:
    return f"no digest of test set {test_set.name} is frozen in {manifest.parent.name}/{manifest.name}"
