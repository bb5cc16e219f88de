"""A job: what one child process does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Status

CANNOT_WRITE = 42  # exit code of an evaluation whose folder cannot be written; of a training it means nothing


@dataclass(frozen=True)
class Job:
    """Work for one child process.

    Attributes:
        kind: whether to train the run or to evaluate it.
        run: what is trained or evaluated.
        context: where to read and write.
        failure: tells an evaluation that there is nothing to evaluate, and why.
        gpu: the one GPU that the process may see, as `kdbench.jobs.devices` names it; None on a CPU.
    """

    kind: Literal["train", "evaluate"]
    run: PlannedRun
    context: RunContext
    failure: tuple[Status, str] | None = None
    gpu: str | None = None

    @property
    def folder(self) -> Path:
        """The folder of the run's record."""
        return self.context.folder(self.run)

    @property
    def scratch(self) -> Path:
        """The folder in which the run is trained."""
        return self.context.scratch(self.run)
