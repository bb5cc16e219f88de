"""The child process of a job. Imported before the fork, so that a run costs no import."""

import contextlib
import errno
import faulthandler
import logging
import os
import select
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import TextIO

import timm  # noqa: F401  (slow to import, so before the fork)
import torch

from kdbench.errors import WriteError
from kdbench.jobs.devices import see_only
from kdbench.jobs.evaluate_job import evaluate_run
from kdbench.jobs.job import CANNOT_WRITE, Job
from kdbench.jobs.train_job import train_run
from kdbench.records import LOG
from kdbench.training.loop import Progress
from kdbench.training.outcome import Tally, write_outcome

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def child(job: Job, progress: Connection) -> None:
    """Do a job in this process group, with a log file; end when the invocation that waits for the job is gone."""
    os.setsid()
    if job.gpu is not None:
        see_only(job.gpu)
    Thread(target=_end_without_reader, args=(progress.fileno(),), daemon=True).start()
    try:
        with open_log(job.folder) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            faulthandler.enable()
            logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
            work(job, _sender(progress))
    except Exception as error:
        if not _is_of_the_disk(error):
            raise
        _print_traceback()
        sys.exit(CANNOT_WRITE)


def open_log(folder: Path) -> TextIO:
    """Open the log in a run's folder at its end, after making both; WriteError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOG).open("a", buffering=1)
    except OSError as error:
        raise WriteError.at(folder / LOG, error) from error


def work(job: Job, progress: Progress) -> None:
    """Do a job in this process and leave the result in the run's folder."""
    torch.set_num_threads(job.run.track.training.cpu_threads)
    if job.kind == "train":
        _train(job, progress)
    else:
        evaluate_run(job, progress)


def _train(job: Job, progress: Progress) -> None:
    """Train; whatever a method raises becomes the outcome of its run."""
    tally = Tally()
    try:
        train_run(job, progress, tally)
    except Exception as error:
        if _is_of_the_disk(error):
            raise
        _print_traceback()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        write_outcome(job.folder, tally.failed("error", reason))


def _sender(pipe: Connection) -> Progress:
    """Return a function that sends (done, total) through a pipe while somebody can read it."""

    def report(done: int, total: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.send((done, total))

    return report


def _print_traceback() -> None:
    with contextlib.suppress(OSError):  # the log may lie on the disk that is full
        traceback.print_exc()


def _end_without_reader(pipe: int) -> None:
    """Kill this process group as soon as nobody can read `pipe` any more.

    The server process cannot do this: it stays while a job of it lives, whatever becomes of the invocation.
    """
    watched = select.poll()
    watched.register(pipe, 0)
    watched.poll()
    os.killpg(0, signal.SIGKILL)


def _is_of_the_disk(error: BaseException | None) -> bool:
    """Return whether a disk that cannot be written is behind an error; torch hides that behind errors of its own."""
    while error is not None:
        if isinstance(error, WriteError) or (isinstance(error, OSError) and error.errno in DISK_ERRORS):
            return True
        error = error.__cause__ or error.__context__
    return False
