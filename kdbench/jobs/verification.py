"""Computes a run a second time, from its weights or from its method's file, and compares what comes of it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from kdbench.errors import InputError, KdbenchError, RecordError
from kdbench.jobs.devices import visible_gpus
from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.forecast import Forecast, rate_of
from kdbench.jobs.invocation import confined_jobs, execute_runs
from kdbench.jobs.opening import open_test_sets
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.plan.again import as_recorded, device_of, plan_again, track_of
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.options import RunOptions
from kdbench.plan.planning import Plan
from kdbench.records import (
    LOGITS,
    PREDICTIONS,
    RESULT,
    WEIGHTS,
    Environment,
    Record,
    find_records,
    read_predictions,
    read_record,
    record_folder,
)
from kdbench.records.integrity import check_record
from kdbench.records.official import official_names
from kdbench.records.restored import RESTORED, read_restored
from kdbench.records.storage import record_digest
from kdbench.records.verification import (
    LONGEST_NAME,
    TOLERANCES,
    Differences,
    How,
    Verification,
    differences_of,
    verdict_on,
    write_verification,
)
from kdbench.spec import families
from kdbench.testsets.arrays import array_digests
from kdbench.testsets.diagnostics import evaluated_sets

if TYPE_CHECKING:  # PyTorch takes seconds to import
    from kdbench.evaluation.answers import Logits
    from kdbench.evaluation.evaluator import Evaluator


def verify(folder: Path, how: How, by: str, options: RunOptions, console: Console) -> Verification:
    """Compute a run a second time, and write beside its record how that compares.

    Args:
        folder: of the record, `RESULTS/TRACK/RUN-TESTSETS`.
        how: from its weights, or by training it again.
        by: who verifies.
        options: where images and weights come from, the limits, and in `methods` the file of the run's method; `device`
            "auto" is that of the record. All that decides what the run computes is taken from the record.
        console: shows the progress.

    Raises:
        InputError: the record is not whole, its weights are missing, or what is here cannot make the run.
        KdbenchError: the second training failed.
    """
    if len(by) > LONGEST_NAME or not by.isprintable():
        raise InputError(f"--name {by!r} has control characters or more than {LONGEST_NAME} characters")
    record = _whole_record(folder)
    options = _as_evaluated(as_recorded(options, record), record)
    _check_device(options, record)
    compute = {"evaluated": _evaluate, "retrained": _retrain}[how]
    differences, machine = compute(folder, record, options, console)
    verification = Verification(
        of=record_digest(record),
        by=by,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        how=how,
        machine=machine,
        verdict=verdict_on(differences, TOLERANCES[how]),
        tolerance=TOLERANCES[how],
        differences=differences,
    )
    write_verification(folder, verification)
    return verification


def records_to_verify(folder: Path) -> list[Path]:
    """Return a folder if it is that of a record; of a results folder, the records in it that have answers."""
    if (folder / RESULT).exists():
        return [folder]
    records = find_records(folder)
    if not records:
        raise InputError(f"{folder} is neither the folder of a record nor a results folder with records in it")
    return [record for record in records if _has_answers(record)]


def copies_of_official(folders: Sequence[Path]) -> set[Path]:
    """Return the records that `kdbench results copy` copied, as far as they have no weights of their own."""
    official = official_names()
    copies = {folder for folder in folders if (folder.parent.name, folder.name) in official}
    return {folder for folder in copies if not (folder / WEIGHTS).exists() or (folder / RESTORED).exists()}


def _has_answers(folder: Path) -> bool:
    """Return whether a record has answers; a damaged one is taken to have some, so that somebody is told."""
    try:
        return read_record(folder).status == "ok"
    except RecordError:
        return True


def _whole_record(folder: Path) -> Record:
    record = read_record(folder)
    if problems := check_record(folder):
        raise RecordError(f"{folder} is not whole, so there is nothing to verify: {'; '.join(problems)}")
    if record.status != "ok":
        raise InputError(
            f"{folder} ended as {record.status} and has no answers to verify; `kdbench run --retry-failed` runs it "
            "again"
        )
    return record


def _as_evaluated(options: RunOptions, record: Record) -> RunOptions:
    """Return options with the test sets and the device of a record."""
    primary = {entry.name for entry in evaluated_sets(track_of(record, options), diagnostics=False)}
    device = device_of(record) if options.device == "auto" else options.device
    return replace(options, device=device, diagnostics=bool(record.test.keys() - primary))


def _check_device(options: RunOptions, record: Record) -> None:
    from kdbench.networks.device import choose_device

    if options.device == "cuda" and choose_device("auto") != "cuda":
        raise InputError(
            f"the run {record.run_id} was made on a GPU, and PyTorch finds none here; --device cpu evaluates its "
            "weights on the CPU"
        )


def _evaluate(folder: Path, record: Record, options: RunOptions, console: Console) -> tuple[Differences, Environment]:
    """Evaluate the weights beside a record again."""
    import torch

    from kdbench.evaluation.evaluator import Evaluator
    from kdbench.networks.models import read_weights
    from kdbench.records.environment import describe_environment

    if not (folder / WEIGHTS).exists() or read_restored(folder, record):
        raise InputError(f"{folder} keeps no weights to evaluate; --retrain trains the run again")
    read_weights(folder / WEIGHTS, record.digests.weights)
    track, device = track_of(record, options), torch.device(options.device)
    torch.set_num_threads(track.training.cpu_threads)
    _, test_sets = open_test_sets(track, options, console)
    _compare_arrays(record, array_digests(test_sets))
    with temporary_folder("kdbench-verify-") as place, console.status(f"evaluating {record.run_id}"):
        evaluator = Evaluator(track, test_sets, device, place)
        logits = _teacher_logits(evaluator, record, folder)
        answers = evaluator.predictions(evaluator.network(record.family, folder / WEIGHTS), logits, _no_progress)
    environment = describe_environment(device, track.training.precision_on(device.type), options.command)
    return differences_of(record, read_predictions(folder, record), answers), environment


def _no_progress(done: int, total: int) -> None:
    """Report nothing."""


def _teacher_logits(evaluator: "Evaluator", record: Record, folder: Path) -> "dict[str, Logits]":
    """Return what a student's divergence is computed from, with the precision of a run; nothing without a teacher."""
    teacher = _teacher_folder(record, folder)
    if teacher is None or record.direction is None:
        return {}
    family = families(record.direction).teacher
    kept = replace(evaluator, folder=evaluator.folder / "teacher")
    kept.predictions(kept.network(family, teacher / WEIGHTS), {}, _no_progress)
    return evaluator.teacher_logits(family, kept.folder)


def _teacher_folder(record: Record, folder: Path) -> Path | None:
    """Return the folder of a student's teacher, if that is whole and keeps its weights."""
    if record.teacher_run_id is None:
        return None
    teacher = record_folder(folder.parents[1], record.track, record.teacher_run_id, record.digests.testsets)
    return teacher if (teacher / WEIGHTS).exists() and not check_record(teacher) else None


def _compare_arrays(record: Record, here: Mapping[str, str]) -> None:
    """Raise InputError if the test sets here are not those that the record was made on."""
    for name, digest in record.digests.arrays.items():
        if here.get(name) != digest:
            raise InputError(
                f"the test set {name!r} has other images here than the record was made on (sha256 "
                f"{here.get(name, 'missing')[:12]}..., recorded {digest[:12]}...); `kdbench data verify` says more"
            )


def _retrain(folder: Path, record: Record, options: RunOptions, console: Console) -> tuple[Differences, Environment]:
    """Train and evaluate the run of a record again, and its teacher where that keeps no weights."""
    from kdbench.networks.models import check_weights

    with temporary_folder("kdbench-verify-") as place:
        options = replace(options, out=place)
        launcher, describe = confined_jobs(options)
        plan, run = plan_again(record, options, describe)
        check_weights(plan.track, options.weights_dir)
        _, test_sets = open_test_sets(plan.track, options, console)
        _compare_arrays(record, array_digests(test_sets))
        runs = [*_missing_teacher(plan, run, _teacher_folder(record, folder)), run]
        gpus = visible_gpus()[:1] if plan.device == "cuda" else ()
        forecast = Forecast(runs, 1, rate_of(runs, plan.context))
        execute_runs(plan, runs, LocalExecutor(launcher, 1, gpus), forecast, console)
        made = read_record(plan.context.folder(run))
        if made.status != "ok":
            raise KdbenchError(
                f"{folder} was not reproduced: its second training ended as {made.status}: {made.reason}"
            )
        answers = read_predictions(plan.context.folder(run), made)
        differences = differences_of(record, read_predictions(folder, record), answers)
    comparison = {"weights": made.digests.weights == record.digests.weights, "counts": made.budget == record.budget}
    return differences.model_copy(update=comparison), made.environment


def _missing_teacher(plan: Plan, run: PlannedRun, kept: Path | None) -> list[PlannedRun]:
    """Return the teacher of a run if it is to be trained again; else copy its record, with its weights and answers."""
    if run.teacher is None:
        return []
    if kept is None:
        return [run.teacher]
    to = plan.context.folder(run.teacher)
    to.mkdir(parents=True, exist_ok=True)
    for name in (
        WEIGHTS,
        RESTORED,
        PREDICTIONS,
        LOGITS,
        RESULT,
    ):  # logits are kept with less precision than they are computed
        if (kept / name).exists():
            shutil.copyfile(kept / name, to / name)
    return []
