"""Jobs: what one child process does."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.methods.inquiries import Inquiry
from kdbench.plan.context import SCRATCH, RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Status
from kdbench.spec import Track
from kdbench.timing.scaling_effort import ScalingEffort

COMPILED = "compiled"  # the folder in the cache for compiled networks
ANSWER = "answer.json"  # of a DescribeJob or a CheckJob, in its scratch folder
MEASUREMENTS = "timing.json"  # of a TimingJob, in its scratch folder
CANNOT_WRITE = 42  # exit code of an evaluation whose folder cannot be written; of a training it means nothing
GPU_FAILED = 44  # exit code of an evaluation on whose GPU nothing works any more; of a training it means nothing
DONE = b"done"  # an evaluator's answer to an order
STOPPED = 43  # exit code of a training that has saved a checkpoint because the time of the invocation is up


@dataclass(frozen=True)
class Job:
    """The training or the evaluation of a run.

    Attributes:
        kind: whether to train the run or to evaluate it.
        run: what is trained or evaluated.
        context: where to read and write.
        failure: tells an evaluation that there is nothing to evaluate, and why.
        gpu: the one GPU that the process may see, as `kdbench.jobs.devices` names it; None on a CPU.
        beside: of an evaluation, how many other jobs worked on the GPU of the training at once, at most.
    """

    kind: Literal["train", "evaluate"]
    run: PlannedRun
    context: RunContext
    failure: tuple[Status, str] | None = None
    gpu: str | None = None
    beside: int = 0

    @property
    def folder(self) -> Path:
        """The folder of the run's record."""
        return self.context.folder(self.run)

    @property
    def scratch(self) -> Path:
        """The folder in which the run is trained."""
        return self.context.scratch(self.run)

    @property
    def runs_method(self) -> bool:
        """Whether the code of a method runs in it."""
        return self.kind == "train"

    @property
    def confined_to(self) -> Path | None:
        """The folder below which the kernel lets it write; None if the kernel is not to restrict it."""
        return self.context.results / SCRATCH if self.runs_method and self.context.sandbox else None

    @property
    def compiled_code(self) -> Path | None:
        """The folder of compiled networks, below which it writes before the code of a method; None if it needs none."""
        return self.context.cache / COMPILED if self.runs_method and self.run.compiled else None


@dataclass(frozen=True)
class DescribeJob:
    """The answer to an inquiry about a method file.

    Attributes:
        inquiry: what to answer.
        scratch: the folder, made for this job, in which it is answered.
        sandbox: whether the kernel is to restrict it.
        gpu: None; a method is described on the CPU.
        runs_method: whether the code of a method runs in it.
    """

    inquiry: Inquiry
    scratch: Path
    sandbox: bool
    gpu: None = None
    runs_method: Literal[True] = True

    @property
    def confined_to(self) -> Path | None:
        """The folder below which the kernel lets it write; None if the kernel is not to restrict it."""
        return self.scratch if self.sandbox else None


@dataclass(frozen=True)
class CheckJob:
    """The checks of a method file.

    Attributes:
        path: the file, as messages name it.
        source: its bytes.
        track: whose networks it is checked with.
        scratch: the folder, made for this job, in which it is checked.
        gpu: None; a method is checked on the CPU.
        runs_method: whether the code of a method runs in it.
    """

    path: Path
    source: bytes
    track: Track
    scratch: Path
    gpu: None = None
    runs_method: Literal[True] = True

    @property
    def confined_to(self) -> Path | None:
        """The folder below which the kernel lets it write."""
        return self.scratch


@dataclass(frozen=True)
class TimingJob:
    """The timing of training steps.

    Attributes:
        methods: files of methods, as messages name them, and their bytes.
        tracks: tracks of the spec; none means all that fit the machine.
        device: "cpu" or "cuda".
        scratch: the folder, made for this job, in which they are timed.
        gpu: as of a `Job`.
        scaling: sizes of trainings of the first method to time; None to time a step of each method.
        runs_method: whether the code of a method runs in it.
    """

    methods: tuple[tuple[str, bytes], ...]
    tracks: tuple[str, ...]
    device: str
    scratch: Path
    gpu: str | None = None
    scaling: ScalingEffort | None = None
    runs_method: Literal[True] = True

    @property
    def confined_to(self) -> Path | None:
        """The folder below which the kernel lets it write."""
        return self.scratch


@dataclass(frozen=True)
class EvaluatorJob:
    """The evaluation of one run after another, by trusted code alone.

    Attributes:
        gpu: as of a `Job`.
        scratch: never used, since no code of a method runs in it.
    """

    gpu: str | None
    scratch: Path = Path(os.devnull)
    runs_method: Literal[False] = False
    confined_to: None = None


@dataclass(frozen=True)
class RoomJob:
    """The measurement of how much room a GPU has for runs of a track, by trusted code alone.

    Attributes:
        track: as it is run.
        gpu: as of a `Job`.
        scratch: never used, since no code of a method runs in it.
    """

    track: Track
    gpu: str
    scratch: Path = Path(os.devnull)
    runs_method: Literal[False] = False
    confined_to: None = None


AnyJob = Job | DescribeJob | CheckJob | TimingJob | EvaluatorJob | RoomJob
