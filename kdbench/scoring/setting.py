"""Runs that were measured, and what the rows of one board share: who is compared with whom."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kdbench.records import TEACHER_COMPARISONS, Record, comparison_name
from kdbench.scoring.measured import MeasuredRun
from kdbench.spec import BIAS_AXES, INDEPENDENT, TEACHER, Axis, Direction, Scoring, TeacherBias, Track, families

ACCURACY_MATCHED: Final = "accuracy-matched"
Kind = Literal["teacher", "independent", "method", "control"]


@dataclass(frozen=True)
class Run:
    """A record with what was measured; `measured` is None for a failed run.

    `snapshots` are the same network along its training, of a control that keeps them.
    """

    folder: Path
    record: Record
    measured: MeasuredRun | None
    snapshots: tuple[MeasuredRun, ...] = ()


@dataclass(frozen=True)
class Setting:
    """What the rows of one board share.

    Attributes:
        teachers: trained teacher runs of the board's group, by run id.
        alone: independents of the board.
        matched: runs of the control that keeps snapshots of an independent student, by seed.
    """

    track: Track
    direction: Direction
    scoring: Scoring
    teachers: Mapping[str, Run]
    alone: tuple[Run, ...]
    matched: Mapping[int, Run]

    @classmethod
    def of(cls, runs: Sequence[Run], direction: Direction, track: Track, scoring: Scoring) -> "Setting":
        """The setting of one direction, from all runs of a track, pair of digests and device class.

        Its own independents serve it, else those of the same student family.
        """
        family = families(direction).student
        alone = [run for run in runs if kind_of(run.record) == "independent" and run.record.family == family]
        alone = [run for run in alone if run.record.direction == direction] or alone
        return cls(
            track,
            direction,
            scoring,
            teachers={run.record.run_id: run for run in runs if kind_of(run.record) == "teacher"},
            alone=tuple(alone),
            matched={
                run.record.seed: run
                for run in _official_if_any([run for run in runs if run.snapshots and belongs(run.record, direction)])
            },
        )

    @property
    def references(self) -> tuple[Run, ...]:
        """The independents that students are compared with: the official ones, where there are any."""
        return _official_if_any(self.alone)

    @property
    def num_classes(self) -> int:
        return self.track.data.num_classes

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes that G is taken over: the direction's live ones, or all where the spec names none."""
        live = self.track.scoring.live_axes.get(self.direction, ())
        return tuple(axis for axis in BIAS_AXES if axis in live) or BIAS_AXES

    def teachers_of(self, students: Iterable[Run]) -> dict[int, MeasuredRun]:
        """The teachers that these students are compared with, by the students' seed."""
        pairs = ((run.record.seed, self._teacher_of(run.record)) for run in students)
        return {seed: run.measured for seed, run in pairs if run is not None and run.measured is not None}

    def likeness(self, record: Record, student: Record) -> dict[str, float]:
        """A run's numbers beside the teacher that `student` is compared with, by their plain names."""
        bias = self._bias_of(student)
        names = {name: comparison_name(name, bias) for name in TEACHER_COMPARISONS} if bias else {}
        return {name: record.scalars[key] for name, key in names.items() if key in record.scalars}

    def _bias_of(self, student: Record) -> TeacherBias | None:
        """Of the teacher that a student is compared with; None for one without a teacher where there are several."""
        biases = self.track.teacher_biases
        return student.teacher_bias or (biases[0] if len(biases) == 1 else None)

    def _teacher_of(self, record: Record) -> Run | None:
        """The teacher that a student had; of a control the one of its seed, which it did without."""
        if not record.control:
            return self.teachers.get(record.teacher_run_id or "")
        bias = self._bias_of(record)
        standing = [run for run in self.teachers.values() if self._stands(run.record, bias, record.seed)]
        return next(iter(_official_if_any(standing)), None)

    def _stands(self, teacher: Record, bias: TeacherBias | None, seed: int) -> bool:
        family = families(self.direction).teacher
        return (teacher.family, teacher.teacher_bias, teacher.seed) == (family, bias, seed)


def _official_if_any(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The official ones of some runs, all of them if none is."""
    return tuple(run for run in runs if run.record.official) or tuple(runs)


def belongs(record: Record, direction: Direction) -> bool:
    """Whether a run belongs to a direction's board: a student by its own direction, a teacher by its family."""
    if record.direction is None:
        return record.family == families(direction).teacher
    return record.direction == direction


def kind_of(record: Record) -> Kind:
    """What a run is on a board."""
    if record.control:
        return "control"
    if record.role == "teacher":
        return TEACHER
    return INDEPENDENT if record.method == INDEPENDENT else "method"


def good(runs: Iterable[Run]) -> dict[int, MeasuredRun]:
    """What was measured of the runs that went well, by seed."""
    return {run.record.seed: run.measured for run in runs if run.measured is not None}
