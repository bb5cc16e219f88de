"""What a child process does: train one run, or evaluate one. Imported before the fork, so a run costs no import."""

import contextlib
import errno
import faulthandler
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TextIO

import timm  # noqa: F401  (slow to import, so before the fork)
import torch

from kdbench.data.cifar10 import Cifar10, provenance_of, read_cifar10
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.errors import DataError, WriteError
from kdbench.evaluation.answers import summarise
from kdbench.evaluation.evaluator import Evaluator
from kdbench.jobs.devices import see_only
from kdbench.jobs.job import CANNOT_WRITE, Job
from kdbench.methods.loading import load_submission, parse_config
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun
from kdbench.records import LOG, WEIGHTS, Digests, Predictions, Record, Snapshot, write_record
from kdbench.records.environment import describe_environment
from kdbench.spec import Track, families
from kdbench.testsets.arrays import array_digests
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.frozen import differences_before_building, differences_from_frozen
from kdbench.training.assignment import Assignment
from kdbench.training.checkpoints import tally_of_checkpoint
from kdbench.training.loop import train
from kdbench.training.outcome import OUTCOME, Tally, TrainingOutcome, ended_training, read_outcome, write_outcome
from kdbench.training.snapshots import snapshot_path, snapshot_steps
from kdbench.training.stopwatch import Stopwatch
from kdbench.training.teacher import Supervised
from kdbench.training.untrained import keep_untrained

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
JobProgress = Callable[[int, int], None]


def child(job: Job, progress: Connection) -> None:
    """Runs a job: in its own process group, with a log file, dead when the invocation that waits for it is gone."""
    os.setsid()
    if job.gpu is not None:
        see_only(job.gpu)
    Thread(target=_end_without_reader, args=(progress.fileno(),), daemon=True).start()
    try:
        with open_log(job.places.folder) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            faulthandler.enable()
            logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, force=True)
            work(job, _telling(progress))
    except Exception as error:
        if not _is_of_the_disk(error):
            raise
        _print_traceback()
        sys.exit(CANNOT_WRITE)


def open_log(folder: Path) -> TextIO:
    """The log of a run's folder, at its end; makes both. WriteError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOG).open("a", buffering=1)
    except OSError as error:
        raise WriteError.at(folder / LOG, error) from error


def _telling(pipe: Connection) -> JobProgress:
    """Sends (done, total) through a pipe, while there is someone to hear it."""

    def report(done: int, total: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.send((done, total))

    return report


def work(job: Job, progress: JobProgress) -> None:
    """Does a job in this process and leaves what comes of it in the run's folder."""
    torch.set_num_threads(job.run.track.training.cpu_threads)
    (_train if job.kind == "train" else _evaluate)(job, progress)


def _print_traceback() -> None:
    with contextlib.suppress(OSError):  # the log may lie on the disk that is full
        traceback.print_exc()


def _end_without_reader(pipe: int) -> None:
    """Kills this process group as soon as nobody can read `pipe` any more.

    The server process is no help: it stays while a job of it lives, whatever becomes of the invocation.
    """
    watched = select.poll()
    watched.register(pipe, 0)
    watched.poll()
    os.killpg(0, signal.SIGKILL)


def _source(job: Job) -> Cifar10 | None:
    if job.run.track.data.source != "cifar10":
        return None
    return read_cifar10(job.places.data_root, job.places.cache)


def _train(job: Job, progress: JobProgress) -> None:
    tally = Tally()
    try:
        if job.run.untrained:
            _keep_untrained(job)
        else:
            train(_assignment(job), _training_set(job), progress, tally)
    except Exception as error:  # whatever a method raises is its result
        if _is_of_the_disk(error):
            raise
        _print_traceback()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        write_outcome(job.places.folder, tally.failed("error", reason))


def _is_of_the_disk(error: BaseException | None) -> bool:
    """Whether a disk that cannot be written is behind an error; torch hides that behind errors of its own."""
    while error is not None:
        if isinstance(error, WriteError) or (isinstance(error, OSError) and error.errno in DISK_ERRORS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _keep_untrained(job: Job) -> None:
    run = job.run
    assert run.teacher_bias is not None
    keep_untrained(
        run.track,
        run.family,
        stand_in_for=run.teacher_bias,
        seed=run.seed,
        folder=job.places.folder,
        device=run.device,
        weights_dir=job.places.weights_dir,
        command=job.places.command,
    )


def _training_set(job: Job) -> TrainingSet:
    run = job.run
    return training_set(
        run.track,
        role=run.role,
        bias=run.teacher_bias if run.role == "teacher" else None,
        seed=run.seed,
        source=_source(job),
        limit=run.limit_train,
    )


def _assignment(job: Job) -> Assignment:
    run = job.run
    method = Supervised if run.submission.path is None else load_submission(run.submission.path)
    return Assignment(
        track=_as_trained(run),
        role=run.role,
        family=run.family,
        bias=run.teacher_bias if run.role == "teacher" else None,
        seed=run.seed,
        method_class=method,
        config=parse_config(method, run.submission.config),
        teacher_family=run.teacher.family if run.teacher else None,
        teacher_weights=job.places.teacher / WEIGHTS if job.places.teacher else None,
        folder=job.places.folder,
        device=run.device,
        snapshots=run.submission.control.snapshots if run.submission.control else 0,
        compiled=run.compiled,
        weights_dir=job.places.weights_dir,
        command=job.places.command,
    )


def _as_trained(run: PlannedRun) -> Track:
    """The track with the run's own number of epochs, which is another than the track's for some controls."""
    epochs = {"teacher_epochs": run.epochs} if run.role == "teacher" else {"student_epochs": run.epochs}
    return run.track.model_copy(update={"training": run.track.training.model_copy(update=epochs)})


def _evaluate(job: Job, progress: JobProgress) -> None:
    outcome = _outcome(job)
    if outcome.status == "ok":
        record, predictions = _answered(job, outcome, progress)
    else:
        record, predictions = _record(job, outcome, (*job.run.unofficial, *_unverified(job))), {}
    write_record(job.places.folder, record, predictions)
    if outcome.weights is None or outcome.status == "ok":  # else --retry-failed needs no second training
        (job.places.folder / OUTCOME).unlink(missing_ok=True)
    for number in range(1, len(record.snapshots) + 1):
        snapshot_path(job.places.folder, number).unlink()


def _outcome(job: Job) -> TrainingOutcome:
    """What the training left; of one that was killed or never began, why, and what it had counted when it saved; of
    one that could not be evaluated, why, and all that it counted."""
    folder = job.places.folder
    if job.failure is None and (outcome := ended_training(folder)):
        return outcome
    status, reason = job.failure or ("error", f"training ended without an outcome; see {LOG} beside the record")
    trained = read_outcome(folder)
    return (Tally(trained) if trained else tally_of_checkpoint(folder)).failed(status, reason)


def _unverified(job: Job) -> tuple[str, ...]:
    """Why the test sets of a run that failed are not the frozen ones, as far as that shows without opening them."""
    run, places = job.run, job.places
    if places.limit_test:
        return ()
    try:
        kind = provenance_of(places.data_root) if run.track.data.source == "cifar10" else "generated"
        return differences_before_building(run.track, kind)
    except DataError as error:  # a run that failed has a record, whatever has become of the data
        return (f"the test sets were not verified: {error}",)


def _answered(job: Job, outcome: TrainingOutcome, progress: JobProgress) -> tuple[Record, Predictions]:
    """Evaluate the trained network on every test set; keep what lies beside the record and return the rest."""
    run, places = job.run, job.places
    source = _source(job)
    test_sets = build_test_sets(
        run.track,
        places.cache,
        source=source,
        limit=places.limit_test,
        workers=1,
        diagnostics=places.diagnostics,
    )
    evaluator = Evaluator(run.track, test_sets, torch.device(run.device), places.folder)
    stopwatch = Stopwatch(evaluator.device)
    started = stopwatch.now()
    predictions, scalars, snapshots = _measured(job, outcome, evaluator, progress)
    timing = outcome.timing.model_copy(update={"evaluation": stopwatch.now() - started})
    unverified = () if places.limit_test else differences_from_frozen(run.track, test_sets, source)
    record = _record(job, outcome, (*run.unofficial, *unverified))
    digests = record.digests.model_copy(update={"arrays": array_digests(test_sets)})
    measured = {"test": summarise(predictions, run.track.data.num_classes), "scalars": scalars, "snapshots": snapshots}
    return record.model_copy(update={"timing": timing, "digests": digests, **measured}), predictions


def _measured(
    job: Job, outcome: TrainingOutcome, evaluator: Evaluator, progress: JobProgress
) -> tuple[Predictions, dict[str, float], tuple[Snapshot, ...]]:
    """Return the answers of a run's network, its scalars and its snapshots."""
    run, places = job.run, job.places
    network = evaluator.network(run.family, places.folder / WEIGHTS)
    teacher_logits = {}
    if run.teacher is not None and places.teacher is not None:
        teacher_logits = evaluator.teacher_logits(run.teacher.family, places.teacher)
    predictions = evaluator.predictions(network, teacher_logits, progress)
    compared = places.beside if run.direction else {}
    teacher_family = families(run.direction).teacher if run.direction else run.family
    scalars = evaluator.scalars(network, teacher_family, compared, occlusion=places.diagnostics)
    count = run.submission.control.snapshots if run.submission.control else 0
    steps = snapshot_steps(outcome.budget.steps, count)
    weights = [(step, snapshot_path(places.folder, number)) for number, step in enumerate(steps, start=1)]
    return predictions, scalars, evaluator.snapshots(run.family, weights)


def _record(job: Job, outcome: TrainingOutcome, unofficial: tuple[str, ...]) -> Record:
    run = job.run
    precision = run.track.training.precision_on(run.device)
    environment = outcome.environment or describe_environment(torch.device(run.device), precision, job.places.command)
    return Record(
        run_id=run.run_id,
        role=run.role,
        track=run.track.name,
        family=run.family,
        direction=run.direction,
        teacher_bias=run.teacher_bias,
        method=run.submission.name,
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
        timing=outcome.timing,
        peak_memory_bytes=outcome.peak_memory_bytes,
        parameters=outcome.parameters,
        curves=outcome.curves,
        control=run.submission.control is not None,
        compiled=run.compiled,
        numerics=NUMERICS_VERSION,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
