"""Expands what was asked for into runs, teachers first, each with the id that decides whether it is done already."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdbench.errors import InputError
from kdbench.spec import TEACHER, UNTRAINED, Direction, Family, TeacherBias, TestSet, Track, digest, families

NUMERICS_VERSION = 1  # raise it whenever a change of the code can change a weight
ID_LENGTH = 16
MOST_SEEDS = 1000

# What teachers are made by is the harness, and `NUMERICS_VERSION` covers it; these stand where a method has its code.
HARNESS_CODE: Mapping[str, str] = {
    TEACHER: "bf8fd90d9cd8032b11c765b299412b7e16a9d3d791e7c099f50faffea0ac1c7d",
    UNTRAINED: "5a0f98bdf675251feafea53957466138482af053ea6d9a2f38ebdef6e79a7b9a",
}


@dataclass(frozen=True)
class Control:
    """How the runs of a control arm differ from ordinary ones of its method.

    Attributes:
        teacher: makes random teachers, which are never trained, to take the place of the ordinary ones.
        epochs_factor: by direction, how many times the track's epochs a student trains; once where it is silent.
        snapshots: weights of the student that are kept along the way and evaluated.
    """

    teacher: "Submission | None" = None
    epochs_factor: Mapping[Direction, float] = field(default_factory=dict)
    snapshots: int = 0

    def factor(self, direction: Direction | None) -> float:
        """How many times the track's epochs a student of a direction trains."""
        return self.epochs_factor.get(direction, 1.0) if direction else 1.0


@dataclass(frozen=True)
class Submission:
    """A method as the matrix needs it: where its code lies, the code's digest, its config as JSON values.

    `control` is None for whatever is scored.
    """

    name: str
    path: Path | None
    code: str
    config: Mapping[str, Any]
    uses_teacher: bool
    directions: tuple[Direction, ...]
    control: Control | None = None


@dataclass(frozen=True)
class PlannedRun:
    """One training, one evaluation, one record.

    Attributes:
        run_id: digest of all that decides the weights.
        track: as it is run, overrides included.
        teacher: the run whose network teaches; None for teachers and for methods that use none.
        beside: the trained teachers of the seed, which every student is compared with, whoever taught it.
        device: "cpu" or "cuda".
        limit_train: images of the training set, None for all.
        unofficial: reasons why the record will not be official.
        compiled: whether networks are trained through torch.compile, which rounds otherwise.
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
    beside: "tuple[PlannedRun, ...]"
    device: str
    limit_train: int | None = None
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
        """A few words for a person."""
        teacher = f"{self.submission.name} {self.family} teacher" if self.untrained else f"{self.family} teacher"
        what = teacher if self.role == "teacher" else f"{self.submission.name} {self.direction}"
        bias = f", {self.teacher_bias}" if self.teacher_bias and self.teacher_bias != "natural" else ""
        return f"{what}{bias}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Rough relative cost, for the estimate of the end and for starting long runs first."""
        images = self.epochs * (self.limit_train or self.track.data.num_train) / 1000
        weight = {"cnn": 1.0, "vit": 2.0}
        forward = 0.0 if self.teacher is None else weight[self.teacher.family] / 3
        return images * (weight[self.family] + forward) + weight[self.family]


@dataclass(frozen=True)
class Request:
    """What was asked for: a track, submissions, directions and seeds, on one device."""

    track: Track
    submissions: Sequence[Submission]
    teacher_submission: Submission
    directions: Sequence[Direction]
    seeds: Sequence[int]
    device: str
    limit_train: int | None = None
    unofficial: tuple[str, ...] = ()
    compiled: bool = False


def expand(request: Request) -> list[PlannedRun]:
    """All runs of a request, each once, teachers before their students.

    Raises:
        InputError: a submission does not support any of the directions that were asked for.
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
            arms = strangers = _teachers(request, submission.control.teacher, teacher_family, seed)
            yield from strangers
        for arm in arms:
            yield _student(request, submission, direction, family, arm, teachers, seed)


def _teachers(request: Request, submission: Submission, family: Family, seed: int) -> list[PlannedRun]:
    """One for each of the track's teacher biases."""
    return [
        _planned(request, "teacher", submission, family, seed, direction=None, bias=bias, teacher=None, beside=())
        for bias in request.track.teacher_biases
    ]


def _student(
    request: Request,
    submission: Submission,
    direction: Direction,
    family: Family,
    teacher: PlannedRun | None,
    beside: Sequence[PlannedRun],
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
        beside=tuple(beside),
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
    beside: tuple[PlannedRun, ...],
) -> PlannedRun:
    decides: dict[str, Any] = {
        "training": request.track.training_digest,
        "track": request.track.name,
        "role": role,
        "family": family,
        "direction": direction,
        "bias": bias,
        "method": submission.name,
        "code": submission.code,
        "config": dict(submission.config),
        "seed": seed,
        "teacher": teacher.run_id if teacher else None,
        "device": request.device,
        "limit_train": request.limit_train,
        "numerics": NUMERICS_VERSION,
    }
    if control := submission.control:
        decides["control"] = {"epochs_factor": control.factor(direction), "snapshots": control.snapshots}
    if request.compiled:
        decides["compiled"] = True
    return PlannedRun(
        run_id=digest(decides)[:ID_LENGTH],
        role=role,
        track=request.track,
        family=family,
        direction=direction,
        teacher_bias=bias,
        submission=submission,
        seed=seed,
        teacher=teacher,
        beside=beside,
        device=request.device,
        limit_train=request.limit_train,
        unofficial=request.unofficial,
        compiled=request.compiled,
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from "0", "0,3" or "0-4"; InputError otherwise, or if they are more than 1,000."""
    try:
        parts = [_seeds_of(part.strip()) for part in text.split(",")]
    except ValueError:
        parts = [range(0)]
    if not all(parts):
        raise InputError(f"--seeds {text!r} is not a list of seeds; write 0, or 0,1,2, or 0-4")
    if sum(one.stop - one.start for one in parts) > MOST_SEEDS:
        raise InputError(f"--seeds {text!r} are more than {MOST_SEEDS:,} seeds; give fewer at a time")
    return tuple(dict.fromkeys(seed for part in parts for seed in part))


def _seeds_of(part: str) -> range:
    """The seeds of "3" or "0-4"; ValueError if it is neither."""
    first, dash, last = part.partition("-")
    return range(int(first), int(last if dash else first) + 1)


def with_overrides(
    track: Track, *, epochs: int | None, limit_test: int | None, limit_train: int | None, style: Path | None = None
) -> tuple[Track, tuple[str, ...]]:
    """The track as it is run, and why that is not official.

    `limit_test` keeps at most that many images a set; `epochs` replaces the epochs of teachers and students; `style` is
    a picture in whose style the stylised set is rendered.
    """
    reasons = []
    changes: dict[str, Any] = {}
    if epochs is not None:
        changes["training"] = track.training.model_copy(update={"teacher_epochs": epochs, "student_epochs": epochs})
        reasons.append(f"--epochs {epochs}")
    if limit_test is not None:
        changes["test_sets"] = tuple(
            s.model_copy(update={"images": min(s.images, limit_test)}) for s in track.test_sets
        )
        reasons.append(f"--limit-test {limit_test}")
    if style is not None:
        changes["test_sets"] = tuple(_in_style(s, style) for s in changes.get("test_sets", track.test_sets))
        reasons.append(f"--style {style.name}")
    if limit_train is not None:
        changes["data"] = track.data.model_copy(update={"num_train": min(track.data.num_train, limit_train)})
        reasons.append(f"--limit-train {limit_train}")
    return track.model_copy(update=changes), tuple(reasons)


def _in_style(test_set: TestSet, picture: Path) -> TestSet:
    if "style" not in test_set.parameters:
        return test_set
    return test_set.model_copy(update={"parameters": {**test_set.parameters, "style": str(picture.resolve())}})


def described(runs: Iterable[PlannedRun]) -> str:
    """The number of runs in words: "4 teachers and 6 students"."""
    runs = list(runs)
    teachers = sum(run.role == "teacher" for run in runs)
    return f"{teachers} teachers and {len(runs) - teachers} students"


def as_plain(config: object) -> dict[str, Any]:
    """A method's config as JSON values."""
    return asdict(config)  # type: ignore[call-overload,no-any-return]
