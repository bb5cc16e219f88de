"""Which records newer ones have taken the place of.

A results folder outlives a method's code and `NUMERICS_VERSION`, and networks of before and after a change are not
compared. Where a row has an official run that the present code would make, by its id, the row's other runs are
superseded, and so are the students of a superseded teacher. Of two runs of the same seed that this does not tell apart,
the later counts.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kdbench.errors import SubmissionError
from kdbench.methods.files import code_digest, list_submissions, submission_path
from kdbench.plan.controls import read_controls
from kdbench.plan.matrix import HARNESS_CODE, Request, Submission, expand
from kdbench.records import Record
from kdbench.spec import TEACHER, Track

Found = tuple[Path, Record]  # a record and its folder
Row = tuple[str, str, str | None, str, bool, bool, bool]

OTHER_CODE = "the code of {} has changed"
OTHER_HARNESS = "the harness has changed"
OTHER_TEACHER = "their teachers were trained anew"
SAME_SEED = "a later run of the same seed is there"


def superseded(records: Sequence[Found], track: Track) -> dict[Path, str]:
    """Folders of the records that newer ones have taken the place of, and why.

    Args:
        records: of one track, training digest, test sets and device class.
        track: as the spec has it.
    """
    codes = _present_codes({record.method for _, record in records})
    present = _present_ids([record for _, record in records], track, codes)
    renewed = {_row(record) for _, record in records if record.run_id in present}
    reasons: dict[Path, str] = {}
    for folder, record in records:
        if record.run_id not in present and _row(record) in renewed:
            same_code = record.digests.code == codes.get(record.method, record.digests.code)
            reasons[folder] = OTHER_HARNESS if same_code else OTHER_CODE.format(record.method)
    gone = {record.run_id for folder, record in records if folder in reasons}
    for folder, record in records:
        if record.teacher_run_id in gone:
            reasons.setdefault(folder, OTHER_TEACHER)
    left = [(folder, record) for folder, record in records if folder not in reasons]
    return reasons | dict.fromkeys(_earlier_of_a_seed(left), SAME_SEED)


def _row(record: Record) -> Row:
    config = json.dumps(record.config, sort_keys=True)
    standing = record.official, record.control, record.compiled
    return record.method, record.family, record.direction, config, *standing


def _present_codes(methods: Iterable[str]) -> dict[str, str]:
    """Digests of the code of teachers and of the shipped methods and controls among `methods`."""
    codes = dict(HARNESS_CODE)
    controls = read_controls()
    for method in set(methods):
        try:
            if method in controls:
                codes[method] = controls[method].code
            elif method in list_submissions():
                codes[method] = code_digest(submission_path(method))
        except SubmissionError:  # said when it is to be run; its records are as good as before
            continue
    return codes


def _present_ids(records: Sequence[Record], track: Track, codes: Mapping[str, str]) -> set[str]:
    """Ids that the present code would give to the official ones among these runs, and to others like them."""
    official = [record for record in records if record.official and record.digests.training == track.training_digest]
    alike = ([record for record in official if record.compiled == compiled] for compiled in (False, True))
    return {run.run_id for same in alike if same for run in expand(_request(same, track, codes))}


def _request(official: Sequence[Record], track: Track, codes: Mapping[str, str]) -> Request:
    """What would make these runs, all of them compiled or none, by the present code."""
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
    """What was run, each with its present code; a method whose file is not known, with the code it was run with."""
    runs: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in students:
        code = codes.get(record.method, record.digests.code)
        runs[record.method, code, json.dumps(record.config, sort_keys=True)].append(record)
    return [_submission(code, same) for (_, code, _), same in runs.items()]


def _submission(code: str, same: Sequence[Record]) -> Submission:
    """What runs of one method and config come from; a control differs from its method as the table says now."""
    first, arm = same[0], read_controls().get(same[0].method)
    directions = tuple(dict.fromkeys(record.direction for record in same if record.direction))
    return Submission(
        first.method,
        None,
        code,
        first.config,
        uses_teacher=any(record.teacher_run_id for record in same),
        directions=directions,
        control=arm.control(first.track, directions) if arm and first.control else None,
    )


def _earlier_of_a_seed(records: Iterable[Found]) -> list[Path]:
    """All but the latest written of the runs of the same row, code, teacher's bias and seed."""
    same: dict[tuple[object, ...], list[Found]] = defaultdict(list)
    for folder, record in records:
        same[*_row(record), record.digests.code, record.teacher_bias, record.seed].append((folder, record))
    return [folder for found in same.values() for folder, _ in sorted(found, key=_written)[:-1]]


def _written(found: Found) -> tuple[str, str]:
    return found[1].finished, found[1].run_id
