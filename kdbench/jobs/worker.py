"""What a child process does: train one run, or evaluate one. Imported before the fork, so a run costs no import."""

import contextlib
import errno
import faulthandler
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TextIO

import numpy as np
import timm  # noqa: F401  (slow to import, so before the fork)
import torch

from kdbench.data.cifar10 import Cifar10, provenance_of, read_cifar10
from kdbench.data.synthetic import condition_objects
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.errors import DataError, WriteError
from kdbench.evaluation.answers import Logits, evaluate, load_network, read_logits, summarise, write_logits
from kdbench.evaluation.similarity import (
    feature_similarity,
    first_occlusion_maps,
    map_similarity,
    mass_on_objects,
    occluded_rows,
    read_maps,
    write_maps,
)
from kdbench.jobs.devices import see_only
from kdbench.jobs.job import CANNOT_WRITE, Job
from kdbench.methods.loading import load_submission, parse_config
from kdbench.networks.backbone import Backbone
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun
from kdbench.records import LOG, WEIGHTS, Digests, Predictions, Record, Snapshot, beside, write_record, write_snapshots
from kdbench.records.environment import describe_environment
from kdbench.spec import Track, families
from kdbench.testsets.arrays import TestArrays, array_digests
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.frozen import differences_before_building, differences_from_frozen
from kdbench.training.checkpoints import tally_of_checkpoint
from kdbench.training.loop import Assignment, train
from kdbench.training.outcome import OUTCOME, Tally, TrainingOutcome, ended_training, read_outcome, write_outcome
from kdbench.training.snapshots import snapshot_path, snapshot_steps
from kdbench.training.stopwatch import Stopwatch
from kdbench.training.teacher import Supervised
from kdbench.training.untrained import keep_untrained

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
Progress = Callable[[int, int], None]


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


def _telling(pipe: Connection) -> Progress:
    """Sends (done, total) through a pipe, while there is someone to hear it."""

    def report(done: int, total: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.send((done, total))

    return report


def work(job: Job, progress: Progress) -> None:
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


def _train(job: Job, progress: Progress) -> None:
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


def _evaluate(job: Job, progress: Progress) -> None:
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


def _answered(job: Job, outcome: TrainingOutcome, progress: Progress) -> tuple[Record, Predictions]:
    """Asks the trained network about every test image; keeps what lies beside the record and returns the rest."""
    run, places = job.run, job.places
    device, source = torch.device(run.device), _source(job)
    test_sets = build_test_sets(
        run.track,
        places.cache,
        source=source,
        limit=places.limit_test,
        workers=1,
        diagnostics=places.diagnostics,
    )
    stopwatch = Stopwatch(device)
    started = stopwatch.now()
    network = load_network(run.track, run.family, places.folder / WEIGHTS, device)
    predictions, logits = _ask(job, network, test_sets, _teacher_logits(job, test_sets), progress)
    write_logits(places.folder, logits)
    scalars, snapshots = _scalars(job, network, test_sets), _snapshots(job, outcome, test_sets)
    timing = outcome.timing.model_copy(update={"evaluation": stopwatch.now() - started})
    unverified = () if places.limit_test else differences_from_frozen(run.track, test_sets, source)
    record = _record(job, outcome, (*run.unofficial, *unverified))
    digests = record.digests.model_copy(update={"arrays": array_digests(test_sets)})
    measured = {"test": summarise(predictions, run.track.data.num_classes), "scalars": scalars, "snapshots": snapshots}
    return record.model_copy(update={"timing": timing, "digests": digests, **measured}), predictions


def _teacher_logits(job: Job, test_sets: Mapping[str, TestArrays]) -> dict[str, Logits]:
    """What the teacher answers on every set: as kept, or asked anew where that is not whole; empty without one."""
    run, folder = job.run, job.places.teacher
    if run.teacher is None or folder is None:
        return {}
    kept = read_logits(folder)
    missing = {name: arrays for name, arrays in test_sets.items() if len(kept.get(name, ())) != len(arrays)}
    if missing:
        teacher = load_network(run.track, run.teacher.family, folder / WEIGHTS, torch.device(run.device))
        kept |= _ask(job, teacher, missing, {}, lambda *_: None)[1]
    return kept


def _ask(
    job: Job,
    network: Backbone,
    test_sets: Mapping[str, TestArrays],
    teacher_logits: Mapping[str, Logits],
    progress: Progress,
) -> tuple[Predictions, dict[str, Logits]]:
    device = torch.device(job.run.device)
    return evaluate(
        network,
        test_sets,
        job.run.track.data,
        device=device,
        precision=job.run.track.training.precision_on(job.run.device),
        teacher_logits=teacher_logits,
        progress=progress,
    )


def _scalars(job: Job, network: Backbone, test_sets: Mapping[str, TestArrays]) -> dict[str, float]:
    """How alike the network and each teacher of its seed are, whichever taught it; a failed teacher is left out.

    Under --diagnostics by their occlusion maps, too, which are kept, and how much of its own lies on the objects.
    """
    run, places, device = job.run, job.places, torch.device(job.run.device)
    clean, data = test_sets[run.track.primary_sets("clean")[0].name], run.track.data
    maps = first_occlusion_maps(network, clean, data, device) if places.diagnostics else None
    scalars: dict[str, float] = {}
    if maps is not None:
        write_maps(places.folder, maps)
        if data.source == "synthetic":
            scalars |= mass_on_objects(maps, condition_objects("clean", count=len(clean))[occluded_rows(clean)])
    for bias, folder in places.beside.items():
        if run.direction is None or not (folder / WEIGHTS).exists():
            continue
        teacher = load_network(run.track, families(run.direction)[0], folder / WEIGHTS, device)
        found = feature_similarity(network, teacher, clean, data, device)
        if maps is not None:
            kept = read_maps(folder)
            if kept is None or kept.shape != maps.shape:
                kept = first_occlusion_maps(teacher, clean, data, device)
            found |= map_similarity(maps, kept)
        scalars |= {beside(name, bias): value for name, value in found.items()}
    return scalars


def _snapshots(job: Job, outcome: TrainingOutcome, test_sets: Mapping[str, TestArrays]) -> tuple[Snapshot, ...]:
    """Asks a student as it was along its training about the primary sets, and keeps its answers."""
    run, folder = job.run, job.places.folder
    count = run.submission.control.snapshots if run.submission.control else 0
    if not count:
        return ()
    primary = {one.name: test_sets[one.name] for one in evaluated_sets(run.track, diagnostics=False)}
    answers = []
    for number in range(1, count + 1):
        weights = snapshot_path(folder, number)
        network = load_network(run.track, run.family, weights, torch.device(run.device))
        answers.append(_ask(job, network, primary, {}, lambda *_: None)[0])
    write_snapshots(folder, {name: np.stack([one[name].label for one in answers]) for name in primary})
    steps = snapshot_steps(outcome.budget.steps, count)
    return tuple(
        Snapshot(step=step, test=summarise(one, run.track.data.num_classes))
        for step, one in zip(steps, answers, strict=True)
    )


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
