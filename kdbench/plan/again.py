"""Plans the run of a record once more, to be computed a second time."""

import re
from dataclasses import replace
from typing import Final

from kdbench.errors import InputError
from kdbench.methods.files import MethodFile, list_submissions, read_method_file, submission_path
from kdbench.methods.inquiries import Describe, Inquiry, Trial
from kdbench.plan.checks import check_track
from kdbench.plan.controls import control_submissions
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun, Submission
from kdbench.plan.options import RunOptions
from kdbench.plan.overrides import track_as_run
from kdbench.plan.planning import Plan, expanded_plan
from kdbench.plan.submissions import described_submission
from kdbench.records import Record
from kdbench.spec import INDEPENDENT, Direction, Track, within_family

_OVERRIDE: Final = re.compile(r"--(epochs|limit-test) (\d+)")


def as_recorded(options: RunOptions, record: Record) -> RunOptions:
    """Return options with all that decides what the run of a record computes; overrides are among its reasons."""
    overrides = {key: int(value) for key, value in _OVERRIDE.findall(" ".join(record.unofficial))}
    return replace(
        options,
        track=record.track,
        questions=(record.question or "architecture",),
        limit_train=record.limit_train,
        limit_test=overrides.get("limit-test"),
        epochs=overrides.get("epochs"),
        compile=record.compiled,
        pair=record.pair,
    )


def track_of(record: Record, options: RunOptions) -> Track:
    """Return the track that a record was made on.

    Args:
        record: the record.
        options: as `as_recorded` returns them.

    Raises:
        InputError: the spec has another track under its name, or none.
    """
    track, _ = track_as_run(options)
    for part, own, recorded in (
        ("training", track.training_digest, record.digests.training),
        ("test sets", track.testsets_digest, record.digests.testsets),
    ):
        if own != recorded:
            raise InputError(
                f"the record was made with other settings of the track {track.name!r} than this spec has: the digest "
                f"of the {part} is {recorded[:12]}..., here it is {own[:12]}...; give the spec of the record by --spec"
            )
    return track


def plan_again(record: Record, options: RunOptions, describe: Describe) -> tuple[Plan, PlannedRun]:
    """Plan the run of a record once more.

    Args:
        record: the record.
        options: as `as_recorded` returns them; `methods` names the method's file, or nothing for the shipped one.
        describe: answers inquiries about method files, whose code does not run in this process.

    Returns:
        A plan that holds the run and its teacher, and the run.

    Raises:
        InputError: this harness, on this machine, cannot train the run; the message says what differs.
    """
    _check_harness(record, options)
    track = track_of(record, options)
    directions = [direction for direction in track.directions if _leads_to(record, direction)]
    trial = Trial(track, tuple(directions), check_track(track))
    plan = expanded_plan(options, _submissions(record, options, trial, describe), directions, (record.seed,))
    for run in plan.runs:
        if run.run_id == record.run_id:
            return plan, run
    raise InputError(
        f"no run of this harness has the run id {record.run_id}: the settings of its method, or its teacher, are not "
        "those that follow from the record and the file of the method"
    )


def _leads_to(record: Record, direction: Direction) -> bool:
    """Return whether the runs of a board's direction include that of a record; for a teacher this is not sure."""
    return record.direction in (None, direction, within_family(direction))


def device_of(record: Record) -> str:
    """Return "cuda" or "cpu", where a run was trained."""
    return record.environment.device_class.split("-")[0]


def _check_harness(record: Record, options: RunOptions) -> None:
    """Raise InputError if another version of the harness trained a run, or a device of another kind."""
    from kdbench.networks.device import choose_device

    made = record.environment
    if record.numerics != NUMERICS_VERSION:
        raise InputError(
            f"numerics version {record.numerics} of the harness trained the run, and this kdbench has version "
            f"{NUMERICS_VERSION}, which computes other weights; train it again with the kdbench that made it, version "
            f"{made.kdbench}, commit {made.commit or 'unknown'}"
        )
    if choose_device(options.device) != device_of(record):
        raise InputError(
            f"the run was trained on {device_of(record)}, and a training on another kind of device is another run; "
            f"retrain it with --device {device_of(record)}, or evaluate its weights, without --retrain"
        )


def _submissions(record: Record, options: RunOptions, trial: Trial, describe: Describe) -> list[Submission]:
    """Return the method of a record; of a teacher, one that has its direction; of a control, all control arms."""
    if record.control:
        return control_submissions("all", trial, describe)
    if record.role == "teacher":
        file, config = read_method_file(submission_path(INDEPENDENT)), {}
    else:
        file, config = _method_file(record, options), record.config
    (description,) = describe([Inquiry(file.path, file.source, config=config, trial=trial)])
    return [described_submission(file, description)]


def _method_file(record: Record, options: RunOptions) -> MethodFile:
    """Return the file that a run was trained with; InputError if the code of the one that is here differs."""
    if not options.methods and record.method not in list_submissions():
        raise InputError(f"the method {record.method!r} does not ship with kdbench; give its file by --method")
    file = read_method_file(submission_path(options.methods[0] if options.methods else record.method))
    if file.code != record.digests.code:
        raise InputError(
            f"the code of {file.path} is not that of the record: its digest is {file.code[:12]}..., the record has "
            f"{record.digests.code[:12]}...; give the file that the run was trained with by --method"
        )
    return file
