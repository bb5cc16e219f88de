"""The question of architecture: does a student take over what the other family's architecture brings?"""

from kdbench.plan.questions.swap import SwappedTeacher, TeacherSwap
from kdbench.spec import Direction, Track, within_family


class ArchitectureSwap(TeacherSwap):
    """Swaps a natural teacher of the other family for a natural teacher of the student's own family.

    What any teacher would change in a student cancels in the difference between the two students.
    """

    question = "architecture"

    def is_posed_by(self, track: Track) -> bool:
        """Return True: every track has natural teachers."""
        return True

    def teachers(self, track: Track, direction: Direction, seed: int) -> tuple[SwappedTeacher, SwappedTeacher]:
        """Return the natural teachers of the other family and of the student's own."""
        return SwappedTeacher(direction, "natural"), SwappedTeacher(within_family(direction), "natural")
