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
from kdbench.records import LOG
from kdbench.training.loop import Progress

# Where programs look for a place to write; a training has no other than its scratch folder.
PLACES_TO_WRITE = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def child(job: Job, pipe: Connection) -> None:
    """Do a job, as a guard whose worker does it for a training; end when the launcher is gone."""
    if job.gpu is not None:
        see_only(job.gpu)
    confined = job.kind == "train" and job.context.sandbox
    progress = ProgressWriter(pipe.fileno())

    def confined_work(separate: bool) -> None:
        def restrict(confinement: Confinement) -> tuple[Measure, ...]:
            return (*(("namespaces",) if separate else ()), *sandbox.restrict(confinement))

        if job.kind == "train":
            _write_only_below(job.scratch / "tmp")
        work(job, progress, restrict if confined else unrestricted)

    guard(confined_work, pipe.fileno(), confined=confined)


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


def _write_only_below(folder: Path) -> None:
    """Let libraries put their temporary files and caches into a folder."""
    with contextlib.suppress(OSError):  # reported where the log is opened
        folder.mkdir(parents=True, exist_ok=True)
    os.environ |= dict.fromkeys(PLACES_TO_WRITE, str(folder))
    tempfile.tempdir = str(folder)
