"""Decides which records of a results folder are current, and keeps the answer beside them in `current.json`.

A results folder outlives the code of a method and `NUMERICS_VERSION`, and networks from before and after a change are
not compared. Where a row has an official run that the present code would make, recognised by its run id, the row's
other runs are outdated. The present method files and the harness decide this at the time of `kdbench run`; scoring is
handed the answer, so that scores depend on nothing but the results folder and the spec.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kdbench.errors import RecordError, SubmissionError, describe_invalid
from kdbench.files import atomic_file
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.plan.controls import read_controls
from kdbench.plan.matrix import HARNESS_CODE, Request, Submission, expand
from kdbench.records import Record, find_records, read_record
from kdbench.records.groups import StoredRecord, group_records, row_key
from kdbench.spec import TEACHER, UNTRAINED, FrozenModel, Spec, Track

CURRENT = "current.json"


class CurrentRecords(FrozenModel):
    """The fields of `current.json`: names of record folders (`RUN-TESTSETS`), sorted.

    A record that is in neither list came after the file was written, and counts as current.
    """

    schema_version: Literal[1] = 1
    current: tuple[str, ...]
    outdated: tuple[str, ...]


def write_current(results: Path, spec: Spec) -> None:
    """Judge every record below a results folder by the present code, and write `current.json` there.

    Args:
        results: folder that holds `TRACK/RUN-TESTSETS/`.
        spec: the tracks; records of other tracks are left out.

    A record that cannot be read is left out; scoring refuses it by name.

    Raises:
        WriteError: the file cannot be written.
    """
    records = list(_readable(find_records(results)))
    groups = group_records((folder, record) for folder, record in records if record.track in spec.tracks)
    names = {folder.name for stored in groups.values() for folder, _ in stored}
    outdated = {
        folder.name for group, stored in groups.items() for folder in outdated_records(stored, spec.tracks[group.track])
    }
    lists = CurrentRecords(current=tuple(sorted(names - outdated)), outdated=tuple(sorted(outdated)))
    with atomic_file(results / CURRENT) as file:
        file.write(lists.model_dump_json(indent=1).encode() + b"\n")


def _readable(folders: Iterable[Path]) -> Iterator[StoredRecord]:
    for folder in folders:
        try:
            yield folder, read_record(folder)
        except RecordError:
            continue


def shipped_codes() -> dict[str, str]:
    """Return the digests of the present code of all shipped methods and controls, by name."""
    codes = _present_codes([*list_submissions(), *read_controls()])
    return {name: code for name, code in codes.items() if code != HARNESS_CODE}


def read_current(*results: Path) -> frozenset[str]:
    """Return the names of the records below some results folders that are current.

    Every record of a folder without `current.json` is current.

    Raises:
        RecordError: a `current.json` is damaged.
    """
    return frozenset(name for folder in results for name in _current_names(folder))


def _current_names(results: Path) -> set[str]:
    names = {folder.name for folder in find_records(results)}
    path = results / CURRENT
    if not path.exists():
        return names
    try:
        return names - set(CurrentRecords.model_validate_json(path.read_bytes()).outdated)
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise RecordError(
            f"{path} is not a list of current records: {describe_invalid(error, CurrentRecords)}; "
            "delete it (`kdbench run` writes it again; without it every record counts as current)"
        ) from error


def outdated_records(records: Sequence[StoredRecord], track: Track) -> list[Path]:
    """Return the folders of the records of rows that the present code has made again, other than its own.

    Args:
        records: of one track, training digest, test sets and device class.
        track: as the spec has it.
    """
    codes = _present_codes({record.method for _, record in records})
    present = _present_ids([record for _, record in records], track, codes)
    renewed = {row_key(record) for _, record in records if record.run_id in present}
    return [folder for folder, record in records if record.run_id not in present and row_key(record) in renewed]


def _present_codes(methods: Iterable[str]) -> dict[str, str]:
    """Return digests of the code of teachers, and of the shipped methods and controls among `methods`."""
    codes = {TEACHER: HARNESS_CODE, UNTRAINED: HARNESS_CODE}
    controls = read_controls()
    for method in set(methods):
        try:
            if method in controls:
                codes[method] = controls[method].code
            elif method in list_submissions():
                codes[method] = read_method_file(submission_path(method)).code
        except SubmissionError:  # reported when the method is to be run; its records stay as good as before
            continue
    return codes


def _present_ids(records: Sequence[Record], track: Track, codes: Mapping[str, str]) -> set[str]:
    """Return the ids that the present code would give to the official runs among these, and to others like them."""
    official = [record for record in records if record.official and record.digests.training == track.training_digest]
    by_compilation = ([record for record in official if record.compiled == compiled] for compiled in (False, True))
    return {run.run_id for alike in by_compilation if alike for run in expand(_request(alike, track, codes))}


def _request(official: Sequence[Record], track: Track, codes: Mapping[str, str]) -> Request:
    """Return the request that makes these runs, all of them compiled or none, by the present code."""
    students = [record for record in official if record.role == "student"]
    directions = [direction for record in students if (direction := record.direction)] or track.directions
    return Request(
        track=track,
        submissions=_submissions(students, codes),
        teacher_submission=Submission(TEACHER, None, codes[TEACHER], {}, False, tuple(track.directions)),
        directions=tuple(dict.fromkeys(directions)),
        seeds=tuple({record.seed for record in official}),
        device=official[0].environment.device_class.split("-")[0],
        compiled=official[0].compiled,
    )


def _submissions(students: Iterable[Record], codes: Mapping[str, str]) -> list[Submission]:
    """Return what was run, each with its present code; a method of an unknown file keeps the code it was run with."""
    runs: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in students:
        code = codes.get(record.method, record.digests.code)
        runs[record.method, code, json.dumps(record.config, sort_keys=True)].append(record)
    return [_submission(code, records) for (_, code, _), records in runs.items()]


def _submission(code: str, records: Sequence[Record]) -> Submission:
    """Return what the runs of one method and config come from; a control is what the table says now."""
    first, arm = records[0], read_controls().get(records[0].method)
    directions = tuple(dict.fromkeys(record.direction for record in records if record.direction))
    return Submission(
        first.method,
        None,
        code,
        first.config,
        uses_teacher=any(record.teacher_run_id for record in records),
        directions=directions,
        control=arm.control(first.track, directions) if arm and first.control else None,
    )
