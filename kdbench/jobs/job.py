"""A job: what one child process is asked to do. Light to import, so that the launching process stays light."""

from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from kdbench.plan.matrix import PlannedRun
from kdbench.records import Status
from kdbench.spec import TeacherBias

CANNOT_WRITE = 74  # exit code of a job whose folder cannot be written (EX_IOERR); says nothing about the run itself


@dataclass(frozen=True)
class Places:
    """Folders and sources that a run reads, and its own folder that it writes.

    Attributes:
        folder: of this run's record.
        teacher: of the teacher's record; None for runs without one.
        beside: of the records of the teachers that the network is compared with, by their bias.
        cache: of built test arrays.
        data_root: of CIFAR-10; None downloads it.
        limit_test, diagnostics: which test sets were built.
        weights_dir: of pretrained weights that do not ship; None for the one in the cache.
        command: the command line that asked for the run, for the record.
    """

    folder: Path
    teacher: Path | None
    beside: Mapping[TeacherBias, Path]
    cache: Path
    data_root: Path | None = None
    limit_test: int | None = None
    diagnostics: bool = False
    weights_dir: Path | None = None
    command: str = ""


@dataclass(frozen=True)
class Job:
    """Work for one child process.

    Attributes:
        failure: tells an evaluation that there is nothing to evaluate, and why.
        gpu: the one GPU that the process may see, as `kdbench.jobs.devices` names it; None on a processor.
    """

    kind: Literal["train", "evaluate"]
    run: PlannedRun
    places: Places
    failure: tuple[Status, str] | None = None
    gpu: str | None = None


def enter(job: Job, progress: Connection) -> None:
    """Entry point of the child process."""
    from kdbench.jobs.worker import child

    child(job, progress)
