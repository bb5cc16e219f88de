"""The parts of a matrix: methods, control arms, and runs with the ids that tell whether they are already done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from kdbench.plan.costs import answers_of, evaluation_cost, training_cost
from kdbench.records import ControlTerms
from kdbench.spec import Direction, Family, TeacherBias, TeacherKind, Track

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
        directions: that it is published for.
        control: how the runs of a control arm differ from ordinary ones; None for ordinary runs.
        needs: the fields of a network's output that it reads.
        beyond_paper: further directions in which it can train, although it is not published for them.
        images: what it shows to either network, in its own words.
        views: how many images the networks see per image of the batch, roughly.
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
    beyond_paper: tuple[Direction, ...] = ()
    images: str = ""
    views: float = 1.0

    def trains(self, direction: Direction) -> bool:
        """Return whether it can train in a direction."""
        return direction in self.directions or direction in self.beyond_paper


@dataclass(frozen=True)
class PlannedRun:
    """One training, one evaluation, one record.

    Attributes:
        run_id: digest of everything that determines the weights.
        track: as it is run, overrides included.
        dose: of a planted teacher, or of the student's planted teacher; None without one.
        teacher: the run that trains the teacher; None for teachers and for methods that use none.
        references: the trained teachers with which a student is compared: both of its question, or those of all
            questions if it uses none. Those that are not part of the plan are left out unless they have a record.
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
    dose: float | None = None

    @property
    def kind(self) -> TeacherKind:
        """What tells a teacher apart from the others of its seed."""
        assert self.teacher_bias is not None
        return TeacherKind(self.family, self.teacher_bias)

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
    def seen_images(self) -> float:
        """How many images the student sees in training, roughly."""
        return self.epochs * self.track.data.num_train * self.submission.views

    @property
    def title(self) -> str:
        """A short description for people."""
        teacher = f"{self.submission.name} {self.family} teacher" if self.untrained else f"{self.family} teacher"
        what = teacher if self.role == "teacher" else f"{self.submission.name} {self.direction}"
        bias = f", {self.teacher_bias}" if self.teacher_bias and self.teacher_bias != "natural" else ""
        return f"{what}{bias}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """Relative cost of the training and of the evaluation without diagnostics; see `kdbench.plan.costs`."""
        teacher, answers = self.teacher.family if self.teacher else None, answers_of(self.track, diagnostics=False)
        return training_cost(self.seen_images, self.family, teacher) + evaluation_cost(answers, self.family)


def described(runs: Iterable[PlannedRun]) -> str:
    """Return the number of runs in words: "4 teachers and 6 students"."""
    runs = list(runs)
    teachers = sum(run.role == "teacher" for run in runs)
    return f"{teachers} teachers and {len(runs) - teachers} students"
