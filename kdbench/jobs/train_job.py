"""Trains the network of one run: trusted code first, then the method, in a process that is restricted for good."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from kdbench.api import Method
from kdbench.data.decoded import source_of
from kdbench.data.training_sets import TrainingSet, shared_training_set
from kdbench.files import atomic_file
from kdbench.jobs import sandbox
from kdbench.jobs.confinement import Restrict, confinement, devices_of, start_device
from kdbench.jobs.devices import GPU_FAULT
from kdbench.jobs.job import STOPPED, Job
from kdbench.methods.loading import load_submission, parse_config
from kdbench.methods.places import place_of_error
from kdbench.networks.backbone import ALL_FIELDS
from kdbench.networks.compiling import compiler_cache
from kdbench.networks.models import read_weights
from kdbench.networks.weights import weights_folder
from kdbench.plan.matrix import PlannedRun
from kdbench.records import WEIGHTS, read_record
from kdbench.records.environment import describe_environment
from kdbench.records.restored import weights_beside
from kdbench.resources import shipped
from kdbench.spec import Track
from kdbench.training.assignment import Assignment
from kdbench.training.failures import CannotCompile, RuleBroken, Stopped
from kdbench.training.loop import Progress, train
from kdbench.training.memory import shortage_by_one_name
from kdbench.training.outcome import Tally, write_outcome
from kdbench.training.teacher import Supervised
from kdbench.training.torch_settings import settings_kept
from kdbench.training.untrained import keep_untrained
from kdbench.training.warm_up import WarmUp, warm_up

MOST_FILE_BYTES = 8 * 2**30


def train_run(job: Job, progress: Progress, restrict: Restrict, await_turn: Callable[[], None]) -> None:
    """Train the network of a run, or keep it as it is before any training, and write what comes of it into scratch.

    Args:
        job: the run, and where to write.
        progress: called with the steps done and the steps in total.
        restrict: called once, before the code of a method runs.
        await_turn: called once before that, when all is done that needs no method. It returns when the run may go on.
    """
    source = job.run.submission.source
    method_file = job.scratch / "method" / f"{job.run.submission.name}.py"
    if source is not None:
        with atomic_file(method_file) as file:
            file.write(source)
    tally = Tally()
    try:
        data, teacher = _training_set(job), _teacher_state(job)
        start_device(job.run.device)
        _warm_up(job)
        await_turn()
        _restrict(job, restrict)
        if job.run.untrained:
            _keep_untrained(job)
        else:
            with settings_kept(f"the import of {method_file.name}"):
                method = Supervised if source is None else load_submission(method_file)
            train(_assignment(job, method, teacher), data, progress, tally)
    except Stopped:
        sys.exit(STOPPED)
    except (CannotCompile, RuleBroken) as error:
        write_outcome(job.scratch, tally.failed("error", str(error)))
    except BaseException as error:  # whatever a method raises is the outcome of its run
        logging.getLogger(__name__).error("%s", "".join(traceback.format_tb(error.__traceback__)))
        write_outcome(job.scratch, tally.failed("error", reason_of(error, method_file)))


def reason_of(error: BaseException, method_file: Path) -> str:
    """Return what an error says and where in the method it came from, whatever its own text does."""
    try:
        text = str(error)
    except BaseException:
        text = "its message cannot be read"
    place = place_of_error(error.__traceback__, str(method_file))
    fault = f"{GPU_FAULT}: " if "CUDA error" in text else ""
    return f"{place}{fault}{type(error).__name__}: {text[:2000]}"


def _warm_up(job: Job) -> None:
    """Let device and compiler prepare while no code of a method exists and compiled code can still be kept for others.

    A network that does not fit the device is left to the training, which splits its batches.
    """
    run = job.run
    if run.untrained:
        return
    settings = WarmUp(
        track=_as_trained(run),
        family=run.family,
        teacher_family=run.teacher.family if run.teacher else None,
        needs=ALL_FIELDS & set(run.submission.needs),
        device=torch.device(run.device),
        compiled=run.compiled,
    )
    keeping = contextlib.nullcontext() if job.compiled_code is None else compiler_cache(job.compiled_code)
    with contextlib.suppress(torch.OutOfMemoryError), shortage_by_one_name(), keeping:
        warm_up(settings)


def _restrict(job: Job, restrict: Restrict) -> None:
    """Restrict this process for good, and note under which measures the run is trained."""
    run, context = job.run, job.context
    with context.environment_file(run).open("w") as notes:  # out of reach in a moment, but for this open file
        measures = restrict(_confinement(job))
        precision = run.track.training.precision_on(run.device)
        environment = describe_environment(torch.device(run.device), precision, context.command)
        words = "+".join(measures) or "none"
        notes.write(environment.model_copy(update={"sandbox": words}).model_dump_json())


def _confinement(job: Job) -> sandbox.Confinement:
    """Return what a training may use: libraries, networks to start from, the GPU, and its scratch folder."""
    readable = shipped("benchmark", "v1"), weights_folder(job.context.weights_dir)
    return confinement(job.scratch, file_bytes=MOST_FILE_BYTES, readable=readable, devices=devices_of(job.gpu))


def _keep_untrained(job: Job) -> None:
    run = job.run
    assert run.teacher_bias is not None
    keep_untrained(
        run.track,
        run.family,
        stand_in_for=run.teacher_bias,
        seed=run.seed,
        folder=job.scratch,
        device=run.device,
        weights_dir=job.context.weights_dir,
        command=job.context.command,
    )


def _training_set(job: Job) -> TrainingSet:
    run, context = job.run, job.context
    return shared_training_set(
        run.track,
        context.cache,
        role=run.role,
        bias=run.teacher_bias if run.role == "teacher" else None,
        seed=run.seed,
        source=source_of(run.track, context.data_root, context.cache),
    )


def _teacher_state(job: Job) -> Mapping[str, Tensor] | None:
    """Read the teacher's weights, which must be those that belong beside its record; None without a teacher."""
    teacher = job.run.teacher
    if teacher is None:
        return None
    folder = job.context.folder(teacher)
    return read_weights(folder / WEIGHTS, weights_beside(folder, read_record(folder)))


def _assignment(job: Job, method: type[Method], teacher: Mapping[str, Tensor] | None) -> Assignment:
    run, context = job.run, job.context
    return Assignment(
        track=_as_trained(run),
        role=run.role,
        family=run.family,
        bias=run.teacher_bias if run.role == "teacher" else None,
        seed=run.seed,
        method_class=method,
        config=parse_config(method, run.submission.config),
        teacher_family=run.teacher.family if run.teacher else None,
        teacher_state=teacher,
        folder=job.scratch,
        device=run.device,
        snapshots=run.submission.control.snapshots if run.submission.control else 0,
        compiled=run.compiled,
        weights_dir=context.weights_dir,
        command=context.command,
        stop_at=context.stop_at,
    )


def _as_trained(run: PlannedRun) -> Track:
    """Return the track with the run's own number of epochs, which differs from the track's for some controls."""
    epochs = {"teacher_epochs": run.epochs} if run.role == "teacher" else {"student_epochs": run.epochs}
    return run.track.model_copy(update={"training": run.track.training.model_copy(update=epochs)})
