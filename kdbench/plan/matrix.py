"""Expands a request into runs, teachers first, each with the id that tells whether it is already done."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from kdbench.errors import InputError
from kdbench.records import ControlTerms
from kdbench.records.identity import RunIdentity
from kdbench.spec import Direction, Family, TeacherBias, Track, families

NUMERICS_VERSION = 3  # raise it whenever a change of the code may change a weight

# In place of the digest of a method's code, for teachers: the harness trains them, and `NUMERICS_VERSION` covers it.
HARNESS_CODE: Final = "harness"


@dataclass(frozen=True)
class Control:
    """How the runs of a control arm differ from ordinary runs of its method.

    Attributes:
        teacher: the submission of random teachers, which are never trained and replace the ordinary ones.
        epochs_factor: by direction, the factor for the track's student epochs; 1 for a direction that is not listed.
        snapshots: number of times in a training at which the student's weights are kept and evaluated.
    """

    teacher: "Submission | None" = None
    epochs_factor: Mapping[Direction, float] = field(default_factory=dict)
    snapshots: int = 0

    def factor(self, direction: Direction | None) -> float:
        """Return the factor for the track's student epochs in a direction."""
        return self.epochs_factor.get(direction, 1.0) if direction else 1.0

    def terms(self, direction: Direction | None) -> ControlTerms:
        """Return the terms that the record of a run in a direction keeps; the direction of a teacher is None."""
        return ControlTerms(epochs_factor=self.factor(direction), snapshots=self.snapshots)


@dataclass(frozen=True)
class Submission:
    """A method as the matrix needs it.

    Attributes:
        path: of its file; None for a teacher.
        source: bytes of the file, which were hashed and are run; None for a teacher.
        code: digest of its code.
        config: all values, as JSON.
        control: how the runs of a control arm differ from ordinary ones; None for ordinary runs.
        needs: the fields of a network's output that it reads.
    """

    name: str
    path: Path | None
    code: str
    config: Mapping[str, Any]
    uses_teacher: bool
    directions: tuple[Direction, ...]
    control: Control | None = None
    source: bytes | None = None
    needs: tuple[str, ...] = ("logits",)


@dataclass(frozen=True)
class PlannedRun:
    """One training, one evaluation, one record.

    Attributes:
        run_id: digest of everything that determines the weights.
        track: as it is run, overrides included.
        teacher: the run that trains the teacher; None for teachers and for methods that use none.
        references: the trained teachers of the seed, with which every student is compared.
        device: "cpu" or "cuda".
        limit_train: the value of --limit-train, which `track` includes already; None for the whole set.
        limit_test: the value of --limit-test, which `track` includes already; None for whole sets.
        unofficial: reasons why the record will not be official.
        compiled: whether networks are trained through torch.compile, which rounds differently.
    """

    run_id: str
    role: Literal["teacher", "student"]
    track: Track
    family: Family
    direction: Direction | None
    teacher_bias: TeacherBias | None
    submission: Submission
    seed: int
    teacher: "PlannedRun | None"
    references: "tuple[PlannedRun, ...]"
    device: str
    limit_train: int | None = None
    limit_test: int | None = None
    unofficial: tuple[str, ...] = ()
    compiled: bool = False

    @property
    def untrained(self) -> bool:
        """Whether this is a random teacher."""
        return self.role == "teacher" and self.submission.control is not None

    @property
    def epochs(self) -> int:
        """Passes over the training set."""
        training, control = self.track.training, self.submission.control
        if self.role == "teacher":
            return 0 if self.untrained else training.teacher_epochs
        factor = control.factor(self.direction) if control else 1.0
        return max(1, round(factor * training.student_epochs))

    @property
    def title(self) -> str:
        """A short description for people."""
        teacher = f"{self.submission.name} {self.family} teacher" if self.untrained else f"{self.family} teacher"
        what = teacher if self.role == "teacher" else f"{self.submission.name} {self.direction}"
        bias = f", {self.teacher_bias}" if self.teacher_bias and self.teacher_bias != "natural" else ""
        return f"{what}{bias}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Rough relative cost, for estimating the remaining time and for starting long runs first."""
        images = self.epochs * self.track.data.num_train
        return relative_cost(images, self.family, self.teacher.family if self.teacher else None)


def relative_cost(images: int, family: Family, teacher_family: Family | None) -> float:
    """Return the rough cost of training a network on some images and of evaluating it, in no particular unit.

    A teacher costs its forward pass, a third of a training step.
    """
    weight: Mapping[Family, float] = {"cnn": 1.0, "vit": 2.0}
    forward = weight[teacher_family] / 3 if teacher_family else 0.0
    return images / 1000 * (weight[family] + forward) + weight[family]


@dataclass(frozen=True)
class Request:
    """A track, submissions, directions and seeds, to be run on one device.

    Attributes:
        limit_train, limit_test: see `PlannedRun`; `limit_train` is part of the run ids.
        unofficial, compiled: see `PlannedRun`.
    """

    track: Track
    submissions: Sequence[Submission]
    teacher_submission: Submission
    directions: Sequence[Direction]
    seeds: Sequence[int]
    device: str
    limit_train: int | None = None
    limit_test: int | None = None
    unofficial: tuple[str, ...] = ()
    compiled: bool = False


def expand(request: Request) -> list[PlannedRun]:
    """Return all runs of a request, each once, teachers before their students.

    Raises:
        InputError: a submission supports none of the directions.
    """
    runs: dict[str, PlannedRun] = {}
    for submission in request.submissions:
        if not set(submission.directions) & set(request.directions):
            raise InputError(
                f"method {submission.name!r} supports the direction {' and '.join(submission.directions)}, "
                f"not {' or '.join(request.directions)}"
            )
    for seed in request.seeds:
        for direction in request.directions:
            runs.update((run.run_id, run) for run in _one_direction(request, direction, seed))
    return sorted(runs.values(), key=lambda run: (run.seed, run.role != "teacher"))


def _one_direction(request: Request, direction: Direction, seed: int) -> Iterator[PlannedRun]:
    teacher_family, family = families(direction)
    teachers = _teachers(request, request.teacher_submission, teacher_family, seed)
    yield from teachers
    for submission in request.submissions:
        if direction not in submission.directions:
            continue
        arms: Sequence[PlannedRun | None] = teachers if submission.uses_teacher else [None]
        if submission.control and submission.control.teacher:
            arms = random_teachers = _teachers(request, submission.control.teacher, teacher_family, seed)
            yield from random_teachers
        for teacher in arms:
            yield _student(request, submission, direction, family, teacher, teachers, seed)


def _teachers(request: Request, submission: Submission, family: Family, seed: int) -> list[PlannedRun]:
    """Return a teacher for each of the track's teacher biases."""
    return [
        _planned(request, "teacher", submission, family, seed, direction=None, bias=bias, teacher=None, references=())
        for bias in request.track.teacher_biases
    ]


def _student(
    request: Request,
    submission: Submission,
    direction: Direction,
    family: Family,
    teacher: PlannedRun | None,
    references: Sequence[PlannedRun],
    seed: int,
) -> PlannedRun:
    return _planned(
        request,
        "student",
        submission,
        family,
        seed,
        direction=direction,
        bias=teacher.teacher_bias if teacher else None,
        teacher=teacher,
        references=tuple(references),
    )


def _planned(
    request: Request,
    role: Literal["teacher", "student"],
    submission: Submission,
    family: Family,
    seed: int,
    *,
    direction: Direction | None,
    bias: TeacherBias | None,
    teacher: PlannedRun | None,
    references: tuple[PlannedRun, ...],
) -> PlannedRun:
    control = submission.control
    identity = RunIdentity(
        training=request.track.training_digest,
        track=request.track.name,
        role=role,
        family=family,
        direction=direction,
        bias=bias,
        method=submission.name,
        code=submission.code,
        config=submission.config,
        seed=seed,
        teacher=teacher.run_id if teacher else None,
        device=request.device,
        limit_train=request.limit_train,
        numerics=NUMERICS_VERSION,
        control=control.terms(direction) if control else None,
        compiled=request.compiled,
    )
    return PlannedRun(
        run_id=identity.run_id,
        role=role,
        track=request.track,
        family=family,
        direction=direction,
        teacher_bias=bias,
        submission=submission,
        seed=seed,
        teacher=teacher,
        references=references,
        device=request.device,
        limit_train=request.limit_train,
        limit_test=request.limit_test,
        unofficial=request.unofficial,
        compiled=request.compiled,
    )


def described(runs: Iterable[PlannedRun]) -> str:
    """Return the number of runs in words: "4 teachers and 6 students"."""
    runs = list(runs)
    teachers = sum(run.role == "teacher" for run in runs)
    return f"{teachers} teachers and {len(runs) - teachers} students"
