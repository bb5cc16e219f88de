"""Trains the network of one run."""

from kdbench.data.cifar10 import source_of
from kdbench.data.training_sets import TrainingSet, training_set
from kdbench.jobs.job import Job
from kdbench.methods.loading import load_submission, parse_config
from kdbench.plan.matrix import PlannedRun
from kdbench.records import WEIGHTS
from kdbench.spec import Track
from kdbench.training.assignment import Assignment
from kdbench.training.loop import Progress, train
from kdbench.training.outcome import Tally
from kdbench.training.teacher import Supervised
from kdbench.training.untrained import keep_untrained


def train_run(job: Job, progress: Progress, tally: Tally) -> None:
    """Train the network of a run, or keep it as it is before any training, and write its weights and outcome.

    Args:
        job: the run, and where to write.
        progress: called with the steps done and the steps in total.
        tally: receives what was counted until a failure.
    """
    if job.run.untrained:
        _keep_untrained(job)
    else:
        train(_assignment(job), _training_set(job), progress, tally)


def _keep_untrained(job: Job) -> None:
    run = job.run
    assert run.teacher_bias is not None
    keep_untrained(
        run.track,
        run.family,
        stand_in_for=run.teacher_bias,
        seed=run.seed,
        folder=job.folder,
        device=run.device,
        weights_dir=job.context.weights_dir,
        command=job.context.command,
    )


def _training_set(job: Job) -> TrainingSet:
    run, context = job.run, job.context
    return training_set(
        run.track,
        role=run.role,
        bias=run.teacher_bias if run.role == "teacher" else None,
        seed=run.seed,
        source=source_of(run.track, context.data_root, context.cache),
    )


def _assignment(job: Job) -> Assignment:
    run, context = job.run, job.context
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
        teacher_weights=context.folder(run.teacher) / WEIGHTS if run.teacher else None,
        folder=job.folder,
        device=run.device,
        snapshots=run.submission.control.snapshots if run.submission.control else 0,
        compiled=run.compiled,
        weights_dir=context.weights_dir,
        command=context.command,
    )


def _as_trained(run: PlannedRun) -> Track:
    """Return the track with the run's own number of epochs, which differs from the track's for some controls."""
    epochs = {"teacher_epochs": run.epochs} if run.role == "teacher" else {"student_epochs": run.epochs}
    return run.track.model_copy(update={"training": run.track.training.model_copy(update=epochs)})
