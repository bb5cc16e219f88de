"""Merges a pack or other files into a results folder: all are brought and checked before anything is moved into place.

Of two records of one run, the one in the results folder stays, unless it is of a failure and the other is not, or the
other has the same weights and was evaluated on more sets or compared with more teachers. Students
belong to the teacher that taught them, so a pack with another teacher for the same runs is refused. Of two unfinished
trainings of one run, the one that is further stays.
"""

import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from kdbench.errors import InputError, WriteError
from kdbench.files import DAMAGES, unpack
from kdbench.jobs.hostile_files import Refused, read_regular_file, remove
from kdbench.jobs.intake import MOST_OUTCOME_BYTES
from kdbench.jobs.lock import sole_user
from kdbench.packs.contents import PackContents, check_same_board, read_contents
from kdbench.plan.context import SCRATCH
from kdbench.plan.current import shipped_codes, write_current
from kdbench.records import RESULT, Record, find_records, read_record
from kdbench.records.integrity import check_record
from kdbench.spec import Spec
from kdbench.testsets.gallery import GALLERY, read_gallery
from kdbench.training.outcome import OUTCOME, TALLY, TrainingOutcome

MERGING = ".merging-"  # prefix of the temporary folder


@dataclass
class Merged:
    """What became of a pack, or of other files that were merged.

    Attributes:
        records, unfinished: names of the records and of the unfinished trainings that were moved into place.
        known: records whose weights the record in the results folder has, too; the one that says more stays.
        kept: records whose place in the results folder has another one, which stays.
        refused: why a record does not fit, by its name.
    """

    records: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def merge(path: Path, results: Path, spec: Spec) -> Merged:
    """Put what a pack holds into a results folder. Merging it twice is the same as merging it once.

    Args:
        path: of the pack.
        results: the folder; it is made if there is none. No run may be under way in it.
        spec: of the tracks.

    Raises:
        InputError: the file is not a pack, is damaged, was made by another spec or code, or has another teacher for
            runs of the results folder. The results folder is as before.
        RecordError: a record in the results folder is damaged.
        WriteError: the results folder cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file; give the path of a pack")
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise InputError(f"pack {path} cannot be read: {error.strerror or error}; give another file") from error
    except DAMAGES as error:
        raise _damaged(path, error) from error
    with archive:
        try:
            contents = read_contents(archive, path)
        except DAMAGES as error:
            raise _damaged(path, error) from error
        check_same_board(contents, spec, shipped_codes(), path)
        with sole_user(results):
            merged = merge_files(lambda place: _unpack(archive, contents, path, place), path, results)
            write_current(results, spec)
            return merged


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(f"{path} is not a pack, or it is damaged: {error}; get it again")


def merge_files(bring: Callable[[Path], None], source: Path, results: Path) -> Merged:
    """Put files into a results folder that this command holds, after checking them; which are current is left open.

    Args:
        bring: writes the files into an empty folder, at their places in a results folder.
        source: where they come from, for messages.
        results: the results folder.

    Raises:
        InputError: what `bring` raises, or the results folder has another teacher; it is as before.
        RecordError: a record in the results folder is damaged.
        WriteError: the results folder cannot be written.
    """
    for left in results.glob(f"{MERGING}*"):  # by a merge that was killed
        remove(left)
    try:
        with tempfile.TemporaryDirectory(dir=results, prefix=MERGING) as temporary:
            place = Path(temporary)
            bring(place)
            merged = Merged()
            records = _fitting_records(place, merged)
            _check_teachers(records, source, results)
            _move_galleries(place, results)
            _move_records(records, results, merged)
            _move_trainings(place / SCRATCH, results, merged)
    except OSError as error:
        raise WriteError.at(results, error) from error
    return merged


def _require_space(contents: PackContents, path: Path, results: Path) -> None:
    needed, free = sum(file.size for file in contents.files.values()), shutil.disk_usage(results).free
    if needed > free:
        raise InputError(
            f"{path} needs {needed / 2**30:.1f} GiB in {results}, where {free / 2**30:.1f} GiB are free; free space, "
            "or name another folder"
        )


def _unpack(archive: zipfile.ZipFile, contents: PackContents, path: Path, place: Path) -> None:
    """Unpack all files, and compare each with its digest.

    Raises:
        InputError: a file is damaged, or there is no space for all of them.
    """
    _require_space(contents, path, place.parent)
    for name, file in contents.files.items():
        try:
            sha256 = unpack(archive, archive.getinfo(name), place / name)
        except OSError:
            raise
        except DAMAGES as error:
            raise _damaged(path, error) from error
        if sha256 != file.sha256:
            raise _damaged(path, ValueError(f"the bytes of {name} are not those that were packed"))
    for gallery in place.glob(f"*/{GALLERY}"):
        try:
            read_gallery(gallery)
        except InputError as error:
            reason = str(error).partition(";")[0].replace(f"{place}{os.sep}", "")
            raise _damaged(path, ValueError(reason)) from error


def _fitting_records(place: Path, merged: Merged) -> dict[Path, Record]:
    """Return the unpacked records that fit, teachers first; note the others."""
    fitting = {}
    for folder in find_records(place):
        problems = check_record(folder)
        if problems:
            merged.refused[folder.name] = problems[0].replace(f"{folder}", folder.name)
        else:
            fitting[folder] = read_record(folder)
    return dict(sorted(fitting.items(), key=lambda item: item[1].role != "teacher"))


def _check_teachers(records: dict[Path, Record], path: Path, results: Path) -> None:
    """Raise InputError if the results folder has a teacher of the pack with other weights."""
    for folder, record in records.items():
        own = _own_record(results / folder.parent.name / folder.name)
        if record.role == "teacher" and own and own.digests.weights and own.status == record.status == "ok":
            if own.digests.weights == record.digests.weights:
                continue
            raise InputError(
                f"{path} has the teacher {folder.name} ({record.family}, seed {record.seed}) with other weights than "
                f"{results} has, and students of two teachers are not mixed; merge it into another folder"
            )


def _own_record(folder: Path) -> Record | None:
    return read_record(folder) if (folder / RESULT).exists() else None


def _move_galleries(place: Path, results: Path) -> None:
    for source in place.glob(f"[!.]*/{GALLERY}"):
        target = results / source.relative_to(place)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


def _move_records(records: dict[Path, Record], results: Path, merged: Merged) -> None:
    for folder, record in records.items():
        target = results / folder.parent.name / folder.name
        own = _own_record(target)
        if record.status != "ok" and _steps(results / SCRATCH / folder.name) >= 0:
            merged.kept.append(folder.name)  # the training under way here may still end well
            continue
        if own is None or (own.status != "ok" and record.status == "ok"):
            _replace(folder, target)
            merged.records.append(folder.name)
        elif own.digests.record == record.digests.record:
            _add_missing(folder, target)
            merged.known.append(folder.name)
        elif own.digests.weights == record.digests.weights and own.status == record.status:
            if _says_more(record, own):
                _copy_missing(target, folder)
                _replace(folder, target)
            merged.known.append(folder.name)
        else:
            merged.kept.append(folder.name)
        _forget_training(folder.name, results)


def _says_more(record: Record, own: Record) -> bool:
    """Return whether a record has all answers and comparisons of another one of the same weights, and further ones."""
    ours, theirs = ({*each.test, *(f"to {name}" for name in each.compared_with)} for each in (own, record))
    return theirs > ours


def _copy_missing(source: Path, target: Path) -> None:
    """Copy the files of a record, such as weights, that one which takes its place lacks."""
    for path in source.iterdir():
        if not (target / path.name).exists():
            shutil.copyfile(path, target / path.name)


def _replace(source: Path, target: Path) -> None:
    """Move a folder to a place where another may be, which is out of the way first, so that nothing is ever half."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() or target.is_symlink():
        target.rename(source.with_name(f"{source.name}.before"))
    source.rename(target)


def _add_missing(source: Path, target: Path) -> None:
    """Add the files of a record that its equal in the results folder lacks, such as weights."""
    for path in source.iterdir():
        if not (target / path.name).exists():
            path.replace(target / path.name)


def _forget_training(name: str, results: Path) -> None:
    """Remove what a training left that has a record by now."""
    remove(results / SCRATCH / name)
    (results / SCRATCH / f"{name}.json").unlink(missing_ok=True)


def _move_trainings(scratch: Path, results: Path, merged: Merged) -> None:
    """Move unfinished trainings, with what the harness noted of each, unless the results folder is further."""
    for folder in sorted(path for path in scratch.glob("*") if path.is_dir()):
        target = results / SCRATCH / folder.name
        own = [path.parent for name in (RESULT, OUTCOME) for path in results.glob(f"[!.]*/{folder.name}/{name}")]
        if own or _steps(target) >= _steps(folder):
            continue
        environment = scratch / f"{folder.name}.json"
        if environment.exists():
            target.parent.mkdir(exist_ok=True)
            environment.replace(target.with_name(environment.name))
        _replace(folder, target)
        merged.unfinished.append(folder.name)


def _steps(folder: Path) -> float:
    """Return how many steps a training has saved, infinitely many if it has ended, and -1 if there is none."""
    if folder.is_symlink() or not folder.is_dir():
        return -1
    if (folder / OUTCOME).exists():
        return math.inf
    try:
        counted = read_regular_file(folder / TALLY, MOST_OUTCOME_BYTES)
        return TrainingOutcome.model_validate_json(counted or "").budget.steps
    except (Refused, ValidationError):
        return 0
