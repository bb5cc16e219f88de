"""Measured runs, and the runs with which the rows of a board are compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.records import TEACHER_COMPARISONS, Record, comparison_name
from kdbench.scoring.diagnostics import Diagnosis
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.questions import BoardKey, belongs, swapped_teachers, teacher_of
from kdbench.scoring.scores import RowKind
from kdbench.spec import (
    INDEPENDENT,
    TEACHER,
    Direction,
    Question,
    Scoring,
    TeacherKind,
    Track,
    families,
)


@dataclass(frozen=True)
class ScoredRun:
    """A record with the numbers that were measured from its answers.

    Attributes:
        measured: None for a failed run.
        snapshots: the same network during its training, for a control that keeps snapshots.
    """

    folder: Path
    record: Record
    measured: MeasuredRun | None
    snapshots: tuple[MeasuredRun, ...] = ()


@dataclass(frozen=True)
class BoardContext:
    """The context that all rows of a board share.

    Attributes:
        question: whose teachers are swapped.
        teachers: trained teacher runs of the board's group, by run id.
        independents: independent students of the board.
        matched: runs of the control that keeps snapshots of an independent student, by seed.
        diagnosis: of the arms of all rows.
    """

    track: Track
    direction: Direction
    question: Question
    scoring: Scoring
    teachers: Mapping[str, ScoredRun]
    independents: tuple[ScoredRun, ...]
    matched: Mapping[int, ScoredRun]
    diagnosis: Diagnosis

    @classmethod
    def of(cls, runs: Sequence[ScoredRun], board: BoardKey, track: Track, scoring: Scoring) -> "BoardContext":
        """Return the context of one board, given all runs of a track, pair of digests and device class.

        Its independent students are those of the direction, or else those of the same student family.
        """
        question, direction = board
        family = families(direction).student
        of_family = [run for run in runs if kind_of(run.record) == "independent" and run.record.family == family]
        independents = [run for run in of_family if run.record.direction == direction] or of_family
        with_snapshots = [run for run in runs if run.snapshots and belongs(run.record, question, direction)]
        return cls(
            track,
            direction,
            question,
            scoring,
            teachers={run.record.run_id: run for run in runs if kind_of(run.record) == "teacher"},
            independents=tuple(independents),
            matched={run.record.seed: run for run in _official_if_any(with_snapshots)},
            diagnosis=Diagnosis(track, scoring),
        )

    @property
    def references(self) -> tuple[ScoredRun, ...]:
        """The independent students with which others are compared: the official ones, if there are any."""
        return _official_if_any(self.independents)

    @property
    def swapped(self) -> tuple[TeacherKind, TeacherKind]:
        """Teachers A and B of the board."""
        return swapped_teachers(self.question, self.direction)

    @property
    def num_classes(self) -> int:
        """The number of classes, C."""
        return self.track.data.num_classes

    def teachers_of(self, students: Iterable[ScoredRun]) -> dict[int, MeasuredRun]:
        """Return the teachers that these students are compared with, by the students' seed."""
        pairs = ((run.record.seed, self._teacher_of(run.record)) for run in students)
        return {seed: run.measured for seed, run in pairs if run is not None and run.measured is not None}

    def likeness(self, record: Record, student: Record) -> dict[str, float]:
        """Return the similarity of a run to the teacher with which `student` is compared, by plain names."""
        kind = self._compared_with(student)
        names = {name: comparison_name(name, kind) for name in TEACHER_COMPARISONS} if kind else {}
        return {name: record.scalars[key] for name, key in names.items() if key in record.scalars}

    def _compared_with(self, student: Record) -> TeacherKind | None:
        """Return the kind of teacher with which a student is compared.

        A student without a teacher is compared with the natural teacher of the other family, and with neither of two
        planted ones.
        """
        return teacher_of(student) or (self.swapped[0] if self.question == "architecture" else None)

    def _teacher_of(self, record: Record) -> ScoredRun | None:
        """Return the teacher of a student; for a control, the trained teacher of its seed, which it did not use."""
        if not record.control:
            return self.teachers.get(record.teacher_run_id or "")
        kind = self._compared_with(record)
        candidates = [
            run for run in self.teachers.values() if teacher_of(run.record) == kind and run.record.seed == record.seed
        ]
        return next(iter(_official_if_any(candidates)), None)


def _official_if_any(runs: Sequence[ScoredRun]) -> tuple[ScoredRun, ...]:
    """Return the official runs, or all runs if none is official."""
    return tuple(run for run in runs if run.record.official) or tuple(runs)


def kind_of(record: Record) -> RowKind:
    """Return what kind of row a run belongs to."""
    if record.control:
        return "control"
    if record.role == "teacher":
        return TEACHER
    return INDEPENDENT if record.method == INDEPENDENT else "method"


def measured_by_seed(runs: Iterable[ScoredRun]) -> dict[int, MeasuredRun]:
    """Return the measurements of the successful runs, by seed."""
    return {run.record.seed: run.measured for run in runs if run.measured is not None}
