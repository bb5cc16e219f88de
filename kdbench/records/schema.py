"""What a record holds: the fields of `result.json`, and the answers stored next to it."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from kdbench.errors import plain_text
from kdbench.spec import (
    Direction,
    Family,
    FrozenModel,
    Int64,
    OpenPair,
    Question,
    TeacherBias,
    TeacherKind,
    question_of,
)

SCHEMA_VERSION: Final = 3
Status = Literal["ok", "diverged", "timeout", "oom", "error", "over_budget"]


def _checked_time(text: str) -> str:
    """Return a time as it is; ValueError if it is not one in UTC, as `Record.finished` has it."""
    if not re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", text, re.ASCII):
        raise ValueError(f"{text!r} is not a time in UTC, such as 2026-01-01T00:00:00+00:00")
    datetime.fromisoformat(text)
    return text


def _checked_line(text: str) -> str:
    """Return a line as it is; ValueError if it is too long or has control characters."""
    if text != plain_text(text, LONGEST_LINE):
        raise ValueError(f"must be one line of at most {LONGEST_LINE} characters, without control characters")
    return text


LONGEST_LINE = 300  # characters
Line = Annotated[str, AfterValidator(_checked_line)]


class _RecordModel(FrozenModel, allow_inf_nan=False):
    """A part of a record; its numbers are finite."""


class Budget(_RecordModel):
    """What the harness counted.

    Attributes:
        steps: updates of the student.
        examples: images drawn in training.
        prepare_examples: images drawn before training, in the method's `prepare`.
        student_forward_images, student_backward_images: images through the student, its moving average, and networks
            that the method builds like it.
        teacher_forward_images: images through the teacher.
    """

    steps: Int64 = 0
    examples: Int64 = 0
    prepare_examples: Int64 = 0
    student_forward_images: Int64 = 0
    student_backward_images: Int64 = 0
    teacher_forward_images: Int64 = 0


class Timing(_RecordModel):
    """Seconds of wall time; `training` is the sum of the parts above it and of everything else in the loop.

    `teacher`, `student` and `method` are None if steps were captured: the parts of a captured step are not timed apart.
    `beside` is the largest number of other jobs that worked on the same GPU at once while the run was trained: such
    times are longer than those of a run alone.
    """

    data: float = 0.0
    teacher: float | None = 0.0
    student: float | None = 0.0
    method: float | None = 0.0
    prepare: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0
    epochs: tuple[float, ...] = ()
    beside: Int64 = 0


class Environment(_RecordModel):
    """The software and the machine that made a run.

    Attributes:
        kdbench, python, torch, timm, numpy: versions.
        processor: name of the CPU.
        device: name of the device that the networks ran on.
        threads: of PyTorch on the CPU.
        commit: of the checkout, with "+" for local changes; None outside of one.
        command: the command line; empty where there was none.
        sandbox: the measures that confined the training, joined by "+"; "none" without any, None where nobody noted.
    """

    kdbench: str
    python: str
    torch: str
    timm: str
    numpy: str
    platform: str
    processor: str
    device: str
    device_class: Literal["cpu-float32", "cuda-bfloat16", "cuda-float32", "cpu-bfloat16"]
    threads: Int64
    commit: str | None = None
    command: str = ""
    sandbox: str | None = None


class Digests(_RecordModel):
    """SHA-256 of what a run was made from and what it made.

    Attributes:
        training, testsets: of the track's parts of the spec.
        code: of the method file.
        weights: of the trained weights; None without any.
        arrays: of each test set's images and labels, by test set.
        files: of the files that lie beside the record and belong to it, by file name.
        record: of the record itself, this digest left out; None only before it is written.
    """

    training: str
    testsets: str
    code: str
    weights: str | None = None
    arrays: dict[str, str] = {}
    files: dict[str, str] = {}
    record: str | None = None


class SetResult(_RecordModel):
    """How a network did on a test set; the answers themselves are in the predictions."""

    images: Int64
    macro_accuracy: float


class Snapshot(_RecordModel):
    """A student in the course of its training, after `step` updates; its answers are in `snapshots.npz`."""

    step: Int64
    test: dict[str, SetResult]


class ControlTerms(_RecordModel):
    """How the training of a control arm differs from that of an ordinary run.

    Attributes:
        epochs_factor: how many times the track's student epochs it trains.
        snapshots: how many weights are kept along the training and evaluated.
    """

    epochs_factor: float
    snapshots: Int64


OCCLUSION_UNDEFINED: Final = "occlusion_undefined"
OCCLUSION_ON_OBJECT: Final = "occlusion_on_object"
TEACHER_COMPARISONS: Final = (
    "cka",
    "occlusion_correlation",
    "occlusion_correlation_off_centre",
    "occlusion_overlap",
    OCCLUSION_UNDEFINED,
)
"""Numbers that compare a student with a teacher, documented in `kdbench.evaluation.similarity`."""


def comparison_name(name: str, teacher: TeacherKind) -> str:
    """Return what `Record.scalars` calls a number of a student compared with a teacher of its seed: `cka_to_shape`."""
    return f"{name}_to_{teacher_label(teacher)}"


def teacher_label(teacher: TeacherKind) -> str:
    """Return what tells a teacher apart from the others that a student is compared with.

    It is the bias of a planted teacher, and the family of a natural one.
    """
    return teacher.family if teacher.bias == "natural" else teacher.bias


class Record(_RecordModel):
    """Everything that is kept of one run.

    Attributes:
        run_id: digest of what decides the weights.
        role: teachers are runs of their own.
        family: of the network that was trained and scored.
        direction: None for teachers.
        teacher_bias: a teacher's own bias, or that of the student's teacher; None for independent.
        dose: of a planted teacher, or of the student's planted teacher: the probability that the label of a conflict
            image followed the shape. None without a planted teacher.
        method: submission name; "teacher" for teachers.
        images_shown: what the method shows to either network, in its own words; empty for teachers.
        beyond_paper: whether the method is not published for this direction.
        needs: the fields of a network's output that the method reads; empty for teachers.
        reason: why the status is not "ok", in words; else empty.
        unofficial: why the run cannot be ranked; empty for an official run.
        curves: for each epoch, the mean of each loss term and logged number (`train_accuracy`, `learning_rate`,
            `seconds`, ...).
        test: by test set.
        limit_train: maximum images of the training set that was asked for; None for the track's own number.
        control: a control arm or its teacher: shown below the methods, never ranked or tested. The `teacher_bias` of a
            random teacher and of its students says which teacher it replaces.
        control_terms: of a control arm or its teacher; None for any other run.
        scalars: a student compared with each teacher of its seed (the numbers that `kdbench.evaluation.similarity`
            documents, named by `comparison_name`), and numbers of the network alone.
        compared_with: the teachers of its seed that a student was compared with, as `teacher_label` names them.
        snapshots: of a control that is evaluated in the course of its training, the last one at its end; else empty.
        compiled: trained through torch.compile, which rounds differently: a row of its own.
        execution: how the training steps ran: "captured" as a CUDA graph, "captured in part" or "eager"; the latter two
            with ": " and the reason on a device on which steps can be captured.
        numerics: `NUMERICS_VERSION` of the harness that trained it.
        pair: the networks of the open division, which were trained in place of the track's own; None for those.
        finished: when it was written, UTC, as ISO 8601 with seconds: of two runs of a seed, the later one counts.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    run_id: str
    role: Literal["teacher", "student"]
    track: str
    family: Family
    direction: Direction | None
    teacher_bias: TeacherBias | None
    dose: Annotated[float, Field(ge=0, le=1)] | None = None
    method: str
    images_shown: Line = ""
    beyond_paper: bool = False
    needs: tuple[Line, ...] = ()
    config: dict[str, Any]
    seed: Int64
    teacher_run_id: str | None
    status: Status
    reason: str = ""
    unofficial: tuple[str, ...] = ()
    digests: Digests
    environment: Environment
    budget: Budget = Budget()
    timing: Timing = Timing()
    peak_memory_bytes: Int64 = 0
    parameters: Int64 = 0
    curves: tuple[dict[str, float], ...] = ()
    test: dict[str, SetResult] = {}
    limit_train: Int64 | None = None
    control: bool = False
    control_terms: ControlTerms | None = None
    scalars: dict[str, float] = {}
    compared_with: tuple[str, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    compiled: bool = False
    execution: Line = "eager"
    numerics: Int64
    pair: OpenPair | None = None
    finished: Annotated[str, AfterValidator(_checked_time)]

    @model_serializer(mode="wrap")
    def _pair_only_where_there_is_one(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `pair` if it is None, so that the records of the tracks keep the bytes from before the key."""
        dumped: dict[str, Any] = dump(self)
        if self.pair is None:
            dumped.pop("pair", None)
        return dumped

    @property
    def official(self) -> bool:
        """Whether the run can be ranked."""
        return not self.unofficial

    @property
    def question(self) -> Question | None:
        """The question that the run belongs to; None for a student without a teacher, which belongs to all of them."""
        return question_of(self.teacher_bias) if self.teacher_bias else None


@dataclass(frozen=True)
class SetPredictions:
    """The answers on one test set of n images.

    Attributes:
        index: (n,) int32, the position in the clean set of the image that this one was made from; -1 for none.
        target: (n,) int16, the correct class (the shape's class on cue-conflict).
        texture: (n,) int16, the texture's class on cue-conflict, else equal to `target`.
        label: (n,) int16, the predicted class.
        confidence: (n,) float32, probability of the predicted class.
        nll: (n,) float32, -log p(target), nats.
        brier: (n,) float32, sum over classes of the squared error, 0 to 2.
        kl: (n,) float32, KL(teacher || student), nats; NaN without a teacher.
    """

    index: NDArray[np.int32]
    target: NDArray[np.int16]
    texture: NDArray[np.int16]
    label: NDArray[np.int16]
    confidence: NDArray[np.float32]
    nll: NDArray[np.float32]
    brier: NDArray[np.float32]
    kl: NDArray[np.float32]


Predictions = dict[str, SetPredictions]
"""The answers of a network, by test set."""
