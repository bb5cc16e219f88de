"""What a question is to a plan: the choice of two teachers that are swapped for a student.

Two students of one method and seed, one per teacher, differ in nothing else. A question is one file in this folder and
one line in `__init__.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from kdbench.spec import Direction, Family, Question, TeacherBias, Track, families


@dataclass(frozen=True)
class SwappedTeacher:
    """One of the two teachers of a question.

    Attributes:
        direction: in which it teaches.
        bias: that was planted in it, or "natural".
        dose: of a planted teacher; None for a natural one.
    """

    direction: Direction
    bias: TeacherBias
    dose: float | None = None

    @property
    def family(self) -> Family:
        """The family of the teacher."""
        return families(self.direction).teacher


class TeacherSwap(ABC):
    """Chooses the two teachers of a question.

    Attributes:
        question: its name.
    """

    question: ClassVar[Question]

    @abstractmethod
    def is_posed_by(self, track: Track) -> bool:
        """Return whether a track has such teachers."""

    @abstractmethod
    def teachers(self, track: Track, direction: Direction, seed: int) -> tuple[SwappedTeacher, SwappedTeacher]:
        """Return teachers A and B, in this order.

        Args:
            track: that poses the question.
            direction: of the board, from a teacher of the other family to the student.
            seed: of the runs.
        """
