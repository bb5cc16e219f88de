"""What a child process does: train one run, or evaluate one. Imported before the fork, so a run costs no import."""

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

import timm  # noqa: F401  (slow to import, so before the fork)
import torch

from kdbench.data.cifar10 import Cifar10, read_cifar10
from kdbench.data.training_sets import training_set
from kdbench.environment import describe_environment
from kdbench.evaluation import evaluate, load_network, read_logits, summarise, write_logits
from kdbench.jobs.job import Job
from kdbench.records import LOG, WEIGHTS, Digests, Predictions, Record, write_record
from kdbench.submissions import load_submission, parse_config
from kdbench.testsets.arrays import array_digests
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.frozen import differences_from_frozen
from kdbench.training.loop import Assignment, train
from kdbench.training.outcome import OUTCOME, TrainingOutcome, read_outcome, write_outcome
from kdbench.training.teacher import Supervised

_PR_SET_PDEATHSIG = 1
Progress = Callable[[int, int], None]


def child(job: Job, progress: Connection) -> None:
    """Runs a job: in its own process group, one log file, dead when its parent dies."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    job.places.folder.mkdir(parents=True, exist_ok=True)
    with (job.places.folder / LOG).open("a", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        faulthandler.enable()
        torch.set_num_threads(job.run.track.training.cpu_threads)

        def report(done: int, total: int) -> None:
            with contextlib.suppress(BrokenPipeError):
                progress.send((done, total))

        (_train if job.kind == "train" else _evaluate)(job, report)


def _source(job: Job) -> Cifar10 | None:
    if job.run.track.data.source != "cifar10":
        return None
    return read_cifar10(job.places.data_root, job.places.cache)


def _train(job: Job, progress: Progress) -> None:
    try:
        data = training_set(
            job.run.track_name,
            job.run.track,
            role=job.run.role,
            bias=job.run.teacher_bias if job.run.role == "teacher" else None,
            seed=job.run.seed,
            source=_source(job),
            limit=job.run.limit_train,
        )
        train(_assignment(job), data, progress)
    except Exception as error:  # whatever a method raises is its result
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        write_outcome(job.places.folder, TrainingOutcome(status="error", reason=reason))


def _assignment(job: Job) -> Assignment:
    run = job.run
    method = Supervised if run.submission.path is None else load_submission(run.submission.path)
    return Assignment(
        track_name=run.track_name,
        track=run.track,
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
    )


def _evaluate(job: Job, progress: Progress) -> None:
    outcome = _outcome(job)
    if outcome.status == "ok":
        record, predictions = _answered(job, outcome, progress)
    else:
        record, predictions = _record(job, outcome, job.run.unofficial), {}
    write_record(job.places.folder, record, predictions)
    (job.places.folder / OUTCOME).unlink(missing_ok=True)


def _outcome(job: Job) -> TrainingOutcome:
    outcome = None if job.failure else read_outcome(job.places.folder)
    if outcome is None:
        status, reason = job.failure or ("error", f"training ended without an outcome; see {LOG} beside the record")
        outcome = TrainingOutcome(status=status, reason=reason)
    return outcome


def _answered(job: Job, outcome: TrainingOutcome, progress: Progress) -> tuple[Record, Predictions]:
    """Asks the trained network about every test image; keeps the logits and returns the rest."""
    run, places = job.run, job.places
    device = torch.device(run.device)
    source = _source(job)
    test_sets = build_test_sets(
        run.track_name,
        run.track,
        places.cache,
        source=source,
        limit=places.limit_test,
        workers=1,
        diagnostics=places.diagnostics,
    )
    training = run.track.training
    precision = training.cuda_precision if device.type == "cuda" else training.cpu_precision
    started = time.perf_counter()
    predictions, logits = evaluate(
        load_network(run.track, run.family, places.folder / WEIGHTS, device),
        test_sets,
        run.track.data,
        device=device,
        bfloat16=precision == "bfloat16",
        teacher_logits=read_logits(places.teacher),
        progress=progress,
    )
    timing = outcome.timing.model_copy(update={"evaluation": time.perf_counter() - started})
    write_logits(places.folder, logits)
    unverified = () if places.limit_test else differences_from_frozen(run.track_name, run.track, test_sets, source)
    record = _record(job, outcome, (*run.unofficial, *unverified[:1]))
    summary = summarise(predictions, run.track.data.num_classes)
    digests = record.digests.model_copy(update={"arrays": array_digests(test_sets)})
    return record.model_copy(update={"timing": timing, "test": summary, "digests": digests}), predictions


def _record(job: Job, outcome: TrainingOutcome, unofficial: tuple[str, ...]) -> Record:
    run = job.run
    environment = outcome.environment or describe_environment(torch.device(run.device), run.track.training)
    return Record(
        run_id=run.run_id,
        role=run.role,
        track=run.track_name,
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
    )
