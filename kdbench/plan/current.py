"""Decides which records of a results folder are current, and writes the result into `current.json` in that folder.

The code of a method and `NUMERICS_VERSION` may change while a results folder stays in use, and networks from before and
after such a change are not compared. A run id shows whether the present code would make a run. If a row has an official
run that it would make, the row's other runs are outdated. `kdbench run` decides this from the present method files and
harness; scoring only reads the result, so that scores depend on nothing but the results folder and the spec.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kdbench.errors import RecordError, SubmissionError
from kdbench.files import atomic_file
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.plan.controls import read_controls
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import HARNESS_CODE, Submission
from kdbench.plan.questions import posed_by
from kdbench.records import Record, find_records, read_record
from kdbench.records.current import CURRENT, CurrentRecords, read_lists
from kdbench.records.groups import StoredRecord, group_records, row_key
from kdbench.spec import DIRECTIONS, TEACHER, UNTRAINED, Spec, Track


def write_current(results: Path, spec: Spec, *, copied_from: Path | None = None) -> None:
    """Decide for every record below a results folder whether it is current, and write `current.json` into the folder.

    Args:
        results: folder that holds `TRACK/RUN-TESTSETS/`.
        spec: the tracks; records of other tracks are left out.
        copied_from: a results folder that records were copied from; the code that it knows is known here, too.

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
    lists = CurrentRecords(
        current=tuple(sorted(names - outdated)),
        outdated=tuple(sorted(outdated)),
        codes=_known_codes(results, copied_from),
    )
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


def _known_codes(*folders: Path | None) -> dict[str, tuple[str, ...]]:
    """Return, by name, the digests of the shipped code and of the code that results folders know from before."""
    known: dict[str, set[str]] = defaultdict(set)
    for name, code in shipped_codes().items():
        known[name].add(code)
    for folder in filter(None, folders):
        with suppress(RecordError):  # the file is written again without the codes that it held
            lists = read_lists(folder)
            for name, digests in lists.codes.items() if lists else ():
                known[name].update(digests)
    return {name: tuple(sorted(digests)) for name, digests in sorted(known.items())}


def outdated_records(records: Sequence[StoredRecord], track: Track) -> list[Path]:
    """Return the folders of the records that are outdated: their rows have newer runs of the present code.

    Args:
        records: of one track, training digest, test sets and device class.
        track: of the spec.
    """
    codes = _present_codes({record.method for _, record in records})
    present = _present_ids([record for _, record in records], track, codes)
    renewed = {row_key(record) for _, record in records if record.run_id in present}
    return [folder for folder, record in records if record.run_id not in present and row_key(record) in renewed]


def _present_codes(methods: Iterable[str]) -> dict[str, str]:
    """Return the digests of the present code: of teachers, and of the methods in `methods` that are shipped."""
    codes = {TEACHER: HARNESS_CODE, UNTRAINED: HARNESS_CODE}
    controls = read_controls()
    for method in set(methods):
        try:
            if method in controls:
                codes[method] = controls[method].code
            elif method in list_submissions():
                codes[method] = read_method_file(submission_path(method)).code
        except SubmissionError:  # the error is reported when the method is run; its records keep their standing
            continue
    return codes


def _present_ids(records: Sequence[Record], track: Track, codes: Mapping[str, str]) -> set[str]:
    """Return the run ids of the present code for a request like the one that made the official runs of these."""
    official = [record for record in records if record.official and record.digests.training == track.training_digest]
    by_compilation = ([record for record in official if record.compiled == compiled] for compiled in (False, True))
    return {run.run_id for alike in by_compilation if alike for run in expand(_request(alike, track, codes))}


def _request(official: Sequence[Record], track: Track, codes: Mapping[str, str]) -> Request:
    """Return the request that makes these runs by the present code; either all of them are compiled or none is."""
    students = [record for record in official if record.role == "student"]
    return Request(
        track=track,
        questions=posed_by(track),
        submissions=_submissions(students, codes),
        teacher_submission=Submission(TEACHER, None, codes[TEACHER], {}, False, DIRECTIONS),
        directions=track.directions,
        seeds=tuple({record.seed for record in official}),
        device=official[0].environment.device_class.split("-")[0],
        compiled=official[0].compiled,
    )


def _submissions(students: Iterable[Record], codes: Mapping[str, str]) -> list[Submission]:
    """Return the submissions of these runs, with their present code; a method without a shipped file keeps its code."""
    runs: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in students:
        code = codes.get(record.method, record.digests.code)
        runs[record.method, code, json.dumps(record.config, sort_keys=True)].append(record)
    return [_submission(code, records) for (_, code, _), records in runs.items()]


def _submission(code: str, records: Sequence[Record]) -> Submission:
    """Return the submission of the runs of one method and config; a control is taken from the present table.

    It has all directions, since run ids without a record do no harm.
    """
    first, arm = records[0], read_controls().get(records[0].method)
    return Submission(
        first.method,
        None,
        code,
        first.config,
        uses_teacher=any(record.teacher_run_id for record in records),
        directions=DIRECTIONS,
        control=arm.control(first.track, DIRECTIONS) if arm and first.control else None,
    )
