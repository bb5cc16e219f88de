"""Expands a request into runs, teachers first: for every question the two teachers that are swapped, and students."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kdbench.errors import InputError
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun, Submission
from kdbench.plan.questions import SWAPS, SwappedTeacher, posed_by
from kdbench.records.identity import RunIdentity
from kdbench.spec import Direction, Family, Question, TeacherBias, Track, families


@dataclass(frozen=True)
class Request:
    """A track, questions, submissions, directions and seeds, to be run on one device.

    Attributes:
        directions: of boards, each from a teacher of the other family to the student.
        limit_train, limit_test: see `PlannedRun`; `limit_train` is part of the run ids.
        unofficial, compiled: see `PlannedRun`.
    """

    track: Track
    questions: Sequence[Question]
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
        if not any(submission.trains(direction) for direction in request.directions):
            raise InputError(
                f"method {submission.name!r} supports the direction {' and '.join(submission.directions)}, "
                f"not {' or '.join(request.directions)}"
            )
    for seed in request.seeds:
        for direction in request.directions:
            board = _Board(request, direction, seed)
            runs.update((run.run_id, run) for run in board.runs())
    return sorted(runs.values(), key=lambda run: (run.seed, run.role != "teacher"))


@dataclass(frozen=True)
class _Board:
    """The runs of one direction and seed."""

    request: Request
    direction: Direction
    seed: int

    def runs(self) -> Iterator[PlannedRun]:
        submissions = [each for each in self.request.submissions if each.trains(self.direction)]
        references = [teacher for question in posed_by(self.request.track) for teacher in self._teachers(question)]
        for submission in submissions:
            if not submission.uses_teacher:
                yield self._student(submission, self.direction, None, references)
        for question in self.request.questions:
            yield from self._of_question(question, [each for each in submissions if each.uses_teacher])

    def _of_question(self, question: Question, submissions: Iterable[Submission]) -> Iterator[PlannedRun]:
        """Yield the two teachers that are swapped, and the students of each of them."""
        teachers = self._teachers(question)
        yield from teachers
        for submission in submissions:
            arms = teachers
            if submission.control and submission.control.teacher:
                arms = self._teachers(question, submission.control.teacher)
                yield from arms
            for swapped, teacher in zip(self._swapped(question), arms, strict=True):
                if submission.trains(swapped.direction):
                    yield self._student(submission, swapped.direction, teacher, teachers)

    def _swapped(self, question: Question) -> tuple[SwappedTeacher, SwappedTeacher]:
        return SWAPS[question].teachers(self.request.track, self.direction, self.seed)

    def _teachers(self, question: Question, submission: Submission | None = None) -> list[PlannedRun]:
        """Return the two teachers of a question, of a submission in place of the trained ones if there is any."""
        return [
            self._planned(
                "teacher",
                submission or self.request.teacher_submission,
                swapped.family,
                direction=None,
                bias=swapped.bias,
                dose=swapped.dose,
            )
            for swapped in self._swapped(question)
        ]

    def _student(
        self,
        submission: Submission,
        direction: Direction,
        teacher: PlannedRun | None,
        references: Sequence[PlannedRun],
    ) -> PlannedRun:
        return self._planned(
            "student",
            submission,
            families(direction).student,
            direction=direction,
            bias=teacher.teacher_bias if teacher else None,
            dose=teacher.dose if teacher else None,
            teacher=teacher,
            references=tuple(references),
        )

    def _planned(
        self,
        role: Literal["teacher", "student"],
        submission: Submission,
        family: Family,
        *,
        direction: Direction | None,
        bias: TeacherBias | None,
        dose: float | None,
        teacher: PlannedRun | None = None,
        references: tuple[PlannedRun, ...] = (),
    ) -> PlannedRun:
        request, control = self.request, submission.control
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
            seed=self.seed,
            teacher=teacher.run_id if teacher else None,
            device=request.device,
            limit_train=request.limit_train,
            numerics=NUMERICS_VERSION,
            control=control.terms(direction) if control else None,
            compiled=request.compiled,
            dose=dose,
        )
        return PlannedRun(
            run_id=identity.run_id,
            role=role,
            track=request.track,
            family=family,
            direction=direction,
            teacher_bias=bias,
            submission=submission,
            seed=self.seed,
            teacher=teacher,
            references=references,
            device=request.device,
            limit_train=request.limit_train,
            limit_test=request.limit_test,
            unofficial=request.unofficial,
            compiled=request.compiled,
            dose=dose,
        )
