"""The clean accuracies of the two natural teachers of a board, and how far apart they may be."""

from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.scoring.estimates import Estimate
from kdbench.scoring.scores import Board


@dataclass(frozen=True)
class TeacherGate:
    """The condition on the natural teachers of a board of architecture.

    Attributes:
        teachers: each in words, with its clean accuracy.
        difference: between the two accuracies; None if one is missing.
        margin: the largest difference with which a row may have a rank.
    """

    teachers: tuple[tuple[str, Estimate], ...]
    difference: float | None
    margin: float

    @property
    def passed(self) -> bool:
        """Whether both accuracies are known and lie within the margin."""
        return self.difference is not None and self.difference <= self.margin


def teacher_gate(board: Board, margin: float) -> TeacherGate | None:
    """Return the condition on the teachers of a board; None unless natural teachers of two families are compared."""
    if board.question != "architecture":
        return None
    arms = [arm for row in board.rows if row.kind == "teacher" and not row.unofficial for arm in row.arms] or [
        arm for row in board.rows if row.kind == "teacher" for arm in row.arms
    ]
    teachers = tuple(
        (wording.teacher_words(arm.teacher), arm.profile.clean)
        for arm in arms
        if arm.teacher and arm.profile and isinstance(arm.profile.clean, Estimate)
    )
    values = [clean.value for _, clean in teachers]
    return TeacherGate(teachers, max(values) - min(values) if len(values) > 1 else None, margin)
