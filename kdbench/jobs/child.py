"""The processes of a job. Imported before the fork, so that a run costs no import."""

import contextlib
import faulthandler
import logging
import os
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

import timm  # noqa: F401  (slow to import, so before the fork)
import torch

from kdbench.errors import WriteError
from kdbench.jobs import sandbox
from kdbench.jobs.devices import see_only
from kdbench.jobs.evaluate_job import evaluate_run
from kdbench.jobs.guard import guard
from kdbench.jobs.job import CANNOT_WRITE, Job
from kdbench.jobs.progress_pipe import ProgressWriter
from kdbench.jobs.sandbox import Confinement, Measure
from kdbench.jobs.train_job import Restrict, train_run, unrestricted
from kdbench.plan.context import SCRATCH
from kdbench.records import LOG
from kdbench.training.loop import Progress

# Where programs look for a place to write; a training has no other than its scratch folder.
PLACES_TO_WRITE = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
# Variables of the user that a training keeps: those that find programs and libraries, and choose devices and kernels.
KEPT_VARIABLES = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "USER", "LOGNAME", "KDBENCH_CACHE")
KEPT_PREFIXES = ("LC_", "CUDA", "NVIDIA", "PYTORCH", "TORCH", "ATEN", "OMP", "MKL", "OPENBLAS", "NPY")


def child(job: Job, pipe: Connection) -> None:
    """Do a job, as a guard whose worker does it for a training; end when the launcher is gone."""
    if job.gpu is not None:
        see_only(job.gpu)
    confined = job.kind == "train" and job.context.sandbox
    progress = ProgressWriter(pipe.fileno())

    def confined_work(measures: tuple[Measure, ...]) -> None:
        def restrict(confinement: Confinement) -> tuple[Measure, ...]:
            return (*measures, *sandbox.restrict(confinement))

        _close_all_but(pipe.fileno())
        if job.kind == "train":
            _narrow_environment(job.scratch / "tmp")
        work(job, progress, restrict if confined else unrestricted)

    scratch = job.context.results / SCRATCH if confined else None
    if scratch is not None:
        with contextlib.suppress(OSError):  # reported where the log is opened
            scratch.mkdir(parents=True, exist_ok=True)
    guard(confined_work, pipe.fileno(), scratch=scratch)


def work(job: Job, progress: Progress, restrict: Restrict = unrestricted) -> None:
    """Do a job in this process.

    Args:
        job: the job.
        progress: told how far the job is.
        restrict: narrows for good what this process may do, before a training runs the code of a method.
    """
    torch.set_num_threads(job.run.track.training.cpu_threads)
    try:
        if job.kind == "train":
            _log_into(job.scratch)
            train_run(job, progress, restrict)
        else:
            _log_into(job.folder)
            evaluate_run(job, progress)
    except WriteError as error:
        logging.getLogger(__name__).error("%s", error)
        sys.exit(CANNOT_WRITE)


def _log_into(folder: Path) -> None:
    """Let all that this process prints go to the end of the log in a folder."""
    log = open_log(folder)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)


def open_log(folder: Path) -> TextIO:
    """Open the log in a folder at its end, after making both; WriteError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOG).open("a", buffering=1)
    except OSError as error:
        raise WriteError.at(folder / LOG, error) from error


def _close_all_but(pipe: int) -> None:
    """Close what this process has inherited but the standard streams and the pipe of its progress."""
    highest = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, pipe)
    os.closerange(pipe + 1, min(highest, 2**16))


def _narrow_environment(folder: Path) -> None:
    """Keep the variables that a training needs, and let libraries put their files and caches into a folder."""
    with contextlib.suppress(OSError):  # reported where the log is opened
        folder.mkdir(parents=True, exist_ok=True)
    for name in set(os.environ) - set(KEPT_VARIABLES):
        if not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    os.environ |= dict.fromkeys(PLACES_TO_WRITE, str(folder))
    tempfile.tempdir = str(folder)
