"""Packs a results folder: its records, and what its unfinished trainings have saved."""

import contextlib
import os
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.errors import InputError
from kdbench.files import atomic_file, copy
from kdbench.jobs.hostile_files import Refused, regular_file
from kdbench.jobs.lock import sole_user
from kdbench.packs.contents import (
    CONTENTS,
    FILE,
    MOST_MEMBER_BYTES,
    RUN,
    SAVED,
    SNAPSHOT,
    PackContents,
    PackedFile,
    digests_of,
)
from kdbench.plan.context import SCRATCH
from kdbench.plan.current import shipped_codes
from kdbench.records import RESULT, WEIGHTS, Record, read_record
from kdbench.spec import Spec
from kdbench.testsets.gallery import GALLERY
from kdbench.training.checkpoints import CHECKPOINT
from kdbench.training.outcome import OUTCOME

FAST = 1  # level of compression
STORED = (WEIGHTS, CHECKPOINT)  # compression would take longer than it saves


@dataclass
class Packed:
    """What is to be packed.

    Attributes:
        files: where they lie, by place in the pack.
        tracks: that they are of.
        methods: of the runs.
        records, unfinished: number of runs with a record and of trainings without one.
    """

    files: dict[str, Path] = field(default_factory=dict)
    tracks: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)
    records: int = 0
    unfinished: int = 0


def pack(results: Path, path: Path, spec: Spec, *, with_weights: bool = False) -> Packed:
    """Write what another machine needs to go on with the runs of a results folder into one file.

    Args:
        results: the folder. No run may be under way in it.
        path: of the pack.
        spec: of the tracks; what belongs to other tracks is left out.
        with_weights: whether to include the weights of students that have a record. No other run needs them, but
            `kdbench verify` does, and so do further test sets. Weights of teachers are always included.

    Raises:
        InputError: there is nothing to pack, a file of a record cannot be packed, or another command writes into the
            folder.
        RecordError: a record is damaged.
        WriteError: the pack cannot be written.
    """
    if not results.is_dir():
        raise InputError(f"{results} is not a folder; name the results folder after the pack")
    with sole_user(results):
        packed = _collect(results, spec, with_weights=with_weights)
        if not packed.files:
            raise InputError(f"there is nothing to pack in {results}; `kdbench run` makes records")
        codes = {name: code for name, code in shipped_codes().items() if name in packed.methods}
        with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=FAST) as archive:
            listed = {place: _write(archive, place, packed.files[place]) for place in packed.files}
            contents = PackContents(tracks=digests_of(spec, packed.tracks), codes=codes, files=listed)
            archive.writestr(CONTENTS, contents.model_dump_json(indent=1))
    return packed


def _write(archive: zipfile.ZipFile, place: str, path: Path) -> PackedFile:
    """Write a file into the archive, and return its size and digest."""
    member = zipfile.ZipInfo(place)
    member.compress_type = zipfile.ZIP_STORED if path.name in STORED else zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    member.file_size = size = path.stat().st_size
    with path.open("rb") as source, archive.open(member, "w") as target:
        return PackedFile(size=size, sha256=copy(source, target))


def _collect(results: Path, spec: Spec, *, with_weights: bool) -> Packed:
    packed, done = Packed(), set[str]()
    for track in sorted(spec.tracks):
        if _is_own_file(results / track / GALLERY):
            packed.files[f"{track}/{GALLERY}"] = results / track / GALLERY
            packed.tracks.add(track)
        for folder in _runs_in(results / track):
            if (folder / RESULT).exists():
                record = read_record(folder)
                done.add(folder.name)
                packed.tracks.add(track)
                packed.methods.add(record.method)
                packed.records += 1
                left_out = () if with_weights or not _is_trained_student(record) else (WEIGHTS,)
                _require_files(folder, {RESULT, *record.digests.files}.difference(left_out))
                packed.files |= {f"{track}/{folder.name}/{name}": folder / name for name in _files(folder, left_out)}
            elif (folder / OUTCOME).exists():
                _collect_training(folder, results, packed)
                done.add(folder.name)
    for folder in _runs_in(results / SCRATCH):
        if folder.name not in done:
            _collect_training(folder, results, packed)
    return packed


def _collect_training(folder: Path, results: Path, packed: Packed) -> None:
    """Add what a training saved that has no record yet, as the training left it: another machine takes it in."""
    names = [*SAVED, *sorted(path.name for path in folder.iterdir() if re.fullmatch(SNAPSHOT, path.name))]
    saved = {f"{SCRATCH}/{folder.name}/{name}": folder / name for name in names if _is_own_file(folder / name)}
    if not {CHECKPOINT, OUTCOME} & {path.name for path in saved.values()}:
        return
    packed.unfinished += 1
    packed.methods |= {path.stem for path in (results / SCRATCH / folder.name / "method").glob("*.py")}
    environment = results / SCRATCH / f"{folder.name}.json"
    packed.files |= saved
    if _is_own_file(environment):
        packed.files[f"{SCRATCH}/{environment.name}"] = environment


def _is_trained_student(record: Record) -> bool:
    return record.role == "student" and record.status == "ok"


def _runs_in(folder: Path) -> list[Path]:
    """Return the folders of runs in a folder; a training may have put a link in the place of its own."""
    return sorted(path for path in folder.glob("*-*") if re.fullmatch(RUN, path.name) and _is_own_folder(path))


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _files(folder: Path, left_out: tuple[str, ...]) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name not in left_out and re.fullmatch(FILE, path.name) and _is_own_file(path):
            yield path.name


def _require_files(folder: Path, names: Collection[str]) -> None:
    """Raise InputError if a file of a record cannot be packed; without it, the pack would lack the record or a teacher.

    Files that do not exist are no reason, since some of them may be deleted.
    """
    for path in (folder / name for name in sorted(names)):
        if os.path.lexists(path) and not _is_own_file(path):
            raise InputError(
                f"{path} cannot be packed: it is a link, has a second name, or has more than "
                f"{MOST_MEMBER_BYTES // 2**30} GiB; copy the results folder without links, and pack the copy"
            )


def _is_own_file(path: Path) -> bool:
    """Return whether a path is a regular file with no other name, of a size that a pack may hold."""
    with contextlib.suppress(Refused), regular_file(path, MOST_MEMBER_BYTES) as file:
        return file is not None
    return False
