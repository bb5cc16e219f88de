"""The processes of a job. Imported before the fork, so that a run costs no import."""

import contextlib
import faulthandler
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import astuple
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

import timm  # noqa: F401  (slow to import, so before the fork)
import torch

from kdbench.errors import WriteError
from kdbench.jobs import sandbox
from kdbench.jobs.check_job import check_file
from kdbench.jobs.confinement import Restrict, confinement, import_only_what_is_installed, unrestricted
from kdbench.jobs.devices import is_fault_of_gpu, see_only
from kdbench.jobs.evaluate_job import evaluate_run
from kdbench.jobs.guard import guard
from kdbench.jobs.job import (
    ANSWER,
    CANNOT_WRITE,
    DONE,
    GPU_FAILED,
    AnyJob,
    CheckJob,
    DescribeJob,
    EvaluatorJob,
    Job,
    RoomJob,
    TimingJob,
)
from kdbench.jobs.measured_room import measure_room
from kdbench.jobs.opened_sets import OpenedSets
from kdbench.jobs.progress_pipe import ProgressWriter
from kdbench.jobs.sandbox import Confinement, Measure
from kdbench.jobs.timing_job import time_steps
from kdbench.jobs.train_job import train_run
from kdbench.methods.describing import answer
from kdbench.records import LOG
from kdbench.training.loop import Progress
from kdbench.training.torch_settings import settings_put_back

MOST_FILE_BYTES_OF_ANSWERS = 16 * 2**20

# Where programs look for a place to write; a training has no other than its scratch folder.
PLACES_TO_WRITE = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
# Variables of the user that a training keeps: those that find programs and libraries, and choose devices and kernels.
KEPT_VARIABLES = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "USER", "LOGNAME", "KDBENCH_CACHE", "CC", "CXX")
KEPT_PREFIXES = ("LC_", "CUDA", "NVIDIA", "PYTORCH", "TORCH", "ATEN", "OMP", "MKL", "OPENBLAS", "NPY")


def child(job: AnyJob, pipe: Connection, orders: Connection) -> None:
    """Do a job as a guard, whose worker does it; end when the launcher is gone.

    Args:
        job: what to do.
        pipe: takes the progress.
        orders: tells a training when its turn has come, and an evaluator what to evaluate.
    """
    if job.gpu is not None:
        see_only(job.gpu)
    progress = ProgressWriter(pipe.fileno())
    early = job.compiled_code if isinstance(job, Job) else None

    def confined_work(measures: tuple[Measure, ...]) -> None:
        def restrict(confinement: Confinement) -> tuple[Measure, ...]:
            return (*once_closed(early, measures), *sandbox.restrict(confinement))

        _close_all_but(pipe.fileno(), orders.fileno())
        if job.runs_method and not isinstance(job, Job):
            orders.close()
        if job.runs_method:
            _narrow_environment(job.scratch / "tmp")
            import_only_what_is_installed()
        restricted = unrestricted if job.confined_to is None else restrict
        if isinstance(job, DescribeJob):
            answer_inquiry(job, progress, restricted)
        elif isinstance(job, CheckJob):
            _print_nothing()
            check_file(job, progress, restricted)
        elif isinstance(job, TimingJob):
            log_into(job.scratch)
            time_steps(job, restricted)
        elif isinstance(job, EvaluatorJob):
            evaluate_runs(orders, progress)
        elif isinstance(job, RoomJob):
            _print_nothing()
            orders.send_bytes(json.dumps(astuple(measure_room(job.track, torch.device("cuda")))).encode())
        else:
            work(job, progress, restricted, turn_of(orders))

    for folder in (job.confined_to, early):
        if folder is not None:
            with contextlib.suppress(OSError):  # reported where the log is opened
                folder.mkdir(parents=True, exist_ok=True)
    guard(confined_work, pipe.fileno(), scratch=job.confined_to, early=early)


def once_closed(early: Path | None, measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """Let this process write no more below a folder, and return the measures that hold then.

    The kernel refuses it while a file there is open for writing: then not everything is read-only.
    """
    if early is None or "read-only" not in measures or sandbox.write_no_more_below(early):
        return measures
    return tuple(measure for measure in measures if measure != "read-only")


def answer_inquiry(job: DescribeJob, progress: Progress, restrict: Restrict) -> None:
    """Answer an inquiry about a method file in this process, and leave the answer in the job's folder.

    Args:
        job: the inquiry.
        progress: is called once, when the code of the method is about to run.
        restrict: narrows for good what this process may do, before it runs.
    """
    torch.set_num_threads(1)
    _print_nothing()
    restrict(confinement(job.scratch, file_bytes=MOST_FILE_BYTES_OF_ANSWERS))
    progress(0, 1)
    (job.scratch / ANSWER).write_text(answer(job.inquiry, job.scratch).model_dump_json())


def _print_nothing() -> None:
    """Let nothing that this process prints be seen."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def work(
    job: Job,
    progress: Progress,
    restrict: Restrict = unrestricted,
    await_turn: Callable[[], None] = lambda: None,
    opened: OpenedSets | None = None,
) -> None:
    """Do a job in this process.

    Args:
        job: the job.
        progress: told how far the job is.
        restrict: narrows for good what this process may do, before a training runs the code of a method.
        await_turn: returns when a training may go on to the code of its method.
        opened: what evaluations of this process opened before; None for the first one.
    """
    torch.set_num_threads(job.run.track.training.cpu_threads)
    try:
        if job.kind == "train":
            log_into(job.scratch)
            train_run(job, progress, restrict, await_turn)
        else:
            log_into(job.folder)
            evaluate_run(job, progress, opened or OpenedSets(), log=lambda: log_into(job.folder))
    except WriteError as error:
        logging.getLogger(__name__).error("%s", error)
        sys.exit(CANNOT_WRITE)


def evaluate_runs(orders: Connection, progress: Progress) -> None:
    """Do evaluations in this process as they are ordered, and answer each order once its record is written.

    An evaluation that fails ends the process, because its state is uncertain afterwards.
    """
    opened = OpenedSets()
    with contextlib.suppress(EOFError):
        while True:
            job: Job = orders.recv()
            try:
                with settings_put_back():
                    work(job, progress, opened=opened)
            except RuntimeError as error:
                traceback.print_exc()
                sys.exit(GPU_FAILED if is_fault_of_gpu(error) else 1)
            sys.stdout.flush()
            orders.send_bytes(DONE)


def turn_of(orders: Connection) -> Callable[[], None]:
    """Return what waits until the launcher says that a training may go on."""

    def await_turn() -> None:
        try:
            orders.recv_bytes()
        except EOFError:
            os._exit(1)  # the launcher is gone, and an exception would become the outcome of the run
        orders.close()

    return await_turn


def log_into(folder: Path) -> None:
    """Let all that this process prints go to the end of the log in a folder."""
    log = open_log(folder)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)


def open_log(folder: Path) -> TextIO:
    """Open the log in a folder at its end, after making both; WriteError if that fails.

    Links in place of the folder or the log, through which other files would be written, are removed.
    """
    try:
        for path in (folder, folder / LOG):
            if path.is_symlink():
                path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOG).open("a", buffering=1)
    except OSError as error:
        raise WriteError.at(folder / LOG, error) from error


def _close_all_but(*kept: int) -> None:
    """Close what this process has inherited but the standard streams and some pipes."""
    edges = [2, *sorted(kept), min(os.sysconf("SC_OPEN_MAX"), 2**16)]
    for before, after in pairwise(edges):
        os.closerange(before + 1, after)


def _narrow_environment(folder: Path) -> None:
    """Keep the variables that a training needs, and let libraries put their files and caches into a folder."""
    with contextlib.suppress(OSError):  # reported where the log is opened
        folder.mkdir(parents=True, exist_ok=True)
    for name in set(os.environ) - set(KEPT_VARIABLES):
        if not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    os.environ |= dict.fromkeys(PLACES_TO_WRITE, str(folder))
    tempfile.tempdir = str(folder)
