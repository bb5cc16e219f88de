"""Evaluates the network of one run, and writes the run's record."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from pydantic import ValidationError

from kdbench.data.cifar10_copies import find_copy
from kdbench.data.decoded import open_cifar10
from kdbench.errors import DataError, WriteError
from kdbench.evaluation.evaluator import Evaluator
from kdbench.files import atomic_file, check_writable
from kdbench.jobs.completeness import forget_training
from kdbench.jobs.intake import counted, forget_failure, take_in
from kdbench.jobs.job import Job
from kdbench.jobs.opened_sets import OpenedSets
from kdbench.plan.matrix import NUMERICS_VERSION
from kdbench.records import (
    LOG,
    SOURCE,
    WEIGHTS,
    Digests,
    Environment,
    Predictions,
    Record,
    Snapshot,
    teacher_label,
    write_record,
)
from kdbench.records.environment import describe_environment
from kdbench.records.summary import summarise
from kdbench.spec import TeacherKind
from kdbench.testsets.arrays import array_digests
from kdbench.testsets.frozen import SourceKind, differences_before_building, differences_from_frozen, source_kind
from kdbench.training.loop import Progress
from kdbench.training.outcome import Tally, TrainingOutcome, ended_training, read_outcome
from kdbench.training.snapshots import snapshot_path, snapshot_steps
from kdbench.training.stopwatch import Stopwatch


def evaluate_run(job: Job, progress: Progress, opened: OpenedSets, log: Callable[[], None]) -> None:
    """Evaluate the network that a run left, and write the record beside the method's source; of a failure, write why.

    Args:
        job: the run, and where its weights lie.
        progress: called with the test sets done and the test sets in total.
        opened: what evaluations of this process opened before.
        log: opens the log again, after that of the training has taken its place.
    """
    try:
        check_writable(job.folder)
    except WriteError:
        forget_failure(job.scratch)  # the disk may be what made the training fail
        raise
    outcome = _outcome(job)
    log()
    if outcome.status == "ok":
        record, predictions = _evaluated_record(job, outcome, progress, opened)
    else:
        record, predictions = _record(job, outcome, (*job.run.unofficial, *_unverified(job))), {}
    if job.run.submission.source is not None:
        with atomic_file(job.folder / SOURCE) as file:
            file.write(job.run.submission.source)
    write_record(job.folder, record, predictions)
    forget_training(job.context, job.run, record)


def _outcome(job: Job) -> TrainingOutcome:
    """Return the outcome that the training left.

    Of a training that was killed or never began, return the reason and what it had counted when it saved; of a run that
    could not be evaluated, the reason and all that it counted.
    """
    environment = _environment(job)
    tally = counted(job.scratch, job.run)
    taken = take_in(job.scratch, job.folder, job.run, environment)
    if job.failure is None and (outcome := taken or ended_training(job.folder)):
        return outcome
    status, reason = job.failure or ("error", f"training ended without an outcome; see {LOG} beside the record")
    trained = taken or read_outcome(job.folder)
    failed = (Tally(trained) if trained else tally).failed(status, reason)
    return failed.model_copy(update={"environment": environment or failed.environment})


def _environment(job: Job) -> Environment | None:
    """Return what the harness noted when the training began; None if it never did."""
    try:
        return Environment.model_validate_json(job.context.environment_file(job.run).read_bytes())
    except (OSError, ValidationError):
        return None


def _unverified(job: Job) -> tuple[str, ...]:
    """Return why the test sets of a failed run are not the frozen ones, as far as that shows without opening them."""
    run = job.run
    if run.limit_test:
        return ()
    try:
        return differences_before_building(run.track, _kind_of_images(job))
    except DataError as error:  # a run that failed has a record, whatever has become of the data
        return (f"the test sets were not verified: {error}",)


def _kind_of_images(job: Job) -> SourceKind:
    """Return the kind of a failed run's images, which are read only where their layout does not show it."""
    track, root = job.run.track, job.context.data_root
    if track.data.source != "cifar10":
        return "generated"
    if root is None or find_copy(root).layout == "torchvision":
        return "original"
    return "other" if track.data.jpeg_sha256 is None else source_kind(track, open_cifar10(root, job.context.cache))


def _evaluated_record(
    job: Job, outcome: TrainingOutcome, progress: Progress, opened: OpenedSets
) -> tuple[Record, Predictions]:
    """Evaluate the trained network on every test set; keep what lies beside the record, and return the rest."""
    run = job.run
    source, test_sets = opened.open(run.track, job.context)
    evaluator = Evaluator(run.track, test_sets, torch.device(run.device), job.folder, opened.features)
    stopwatch = Stopwatch(evaluator.device)
    started = stopwatch.now()
    teachers = job.context.reference_folders(run)
    predictions, scalars, snapshots = _evaluate(job, outcome, evaluator, teachers, progress)
    seconds = stopwatch.now() - started
    unverified = () if run.limit_test else differences_from_frozen(run.track, test_sets, source)
    record = _record(job, outcome, (*run.unofficial, *unverified))
    timing = record.timing.model_copy(update={"evaluation": seconds})
    digests = record.digests.model_copy(update={"arrays": array_digests(test_sets)})
    compared = tuple(sorted(teacher_label(kind) for kind in teachers))
    results = {"test": summarise(predictions), "scalars": scalars, "snapshots": snapshots, "compared_with": compared}
    return record.model_copy(update={"timing": timing, "digests": digests, **results}), predictions


def _evaluate(
    job: Job,
    outcome: TrainingOutcome,
    evaluator: Evaluator,
    teachers: Mapping[TeacherKind, Path],
    progress: Progress,
) -> tuple[Predictions, dict[str, float], tuple[Snapshot, ...]]:
    """Return the answers of a run's network, its scalars and its snapshots."""
    run, context = job.run, job.context
    network = evaluator.network(run.family, job.folder / WEIGHTS)
    teacher = run.teacher
    teacher_logits = evaluator.teacher_logits(teacher.family, context.folder(teacher)) if teacher else {}
    predictions = evaluator.predictions(network, teacher_logits, progress)
    scalars = evaluator.scalars(network, teachers, occlusion=context.diagnostics)
    steps = snapshot_steps(outcome.budget.steps, run.submission.control.snapshots if run.submission.control else 0)
    weights = [(step, snapshot_path(job.folder, number)) for number, step in enumerate(steps, start=1)]
    return predictions, scalars, evaluator.snapshots(run.family, weights)


def _record(job: Job, outcome: TrainingOutcome, unofficial: tuple[str, ...]) -> Record:
    run = job.run
    precision = run.track.training.precision_on(run.device)
    environment = outcome.environment or describe_environment(torch.device(run.device), precision, job.context.command)
    return Record(
        run_id=run.run_id,
        role=run.role,
        track=run.track.name,
        family=run.family,
        direction=run.direction,
        teacher_bias=run.teacher_bias,
        dose=run.dose,
        method=run.submission.name,
        images_shown=run.submission.images,
        beyond_paper=run.direction in run.submission.beyond_paper,
        needs=run.submission.needs if run.direction else (),
        config=dict(run.submission.config),
        seed=run.seed,
        teacher_run_id=run.teacher.run_id if run.teacher else None,
        status=outcome.status,
        reason=outcome.reason,
        unofficial=unofficial,
        digests=Digests(
            training=run.track.training_digest,
            testsets=run.track.testsets_digest,
            code=run.submission.code,
            weights=outcome.weights,
        ),
        environment=environment,
        budget=outcome.budget,
        timing=outcome.timing.model_copy(update={"beside": max(job.beside, outcome.timing.beside)}),
        peak_memory_bytes=outcome.peak_memory_bytes,
        parameters=outcome.parameters,
        curves=outcome.curves,
        limit_train=run.limit_train,
        control=run.submission.control is not None,
        control_terms=run.submission.control.terms(run.direction) if run.submission.control else None,
        compiled=run.compiled,
        execution=outcome.execution,
        numerics=NUMERICS_VERSION,
        pair=run.track.pair,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
