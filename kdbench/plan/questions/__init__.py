"""The questions of the benchmark as plans need them, by name."""

from collections.abc import Mapping

from kdbench.plan.questions.architecture import ArchitectureSwap
from kdbench.plan.questions.planted import PlantedSwap
from kdbench.plan.questions.swap import SwappedTeacher, TeacherSwap
from kdbench.spec import QUESTIONS, Question, Track

SWAPS: Mapping[Question, TeacherSwap] = {swap.question: swap for swap in (ArchitectureSwap(), PlantedSwap())}

__all__ = ["SWAPS", "SwappedTeacher", "TeacherSwap", "posed_by"]


def posed_by(track: Track) -> tuple[Question, ...]:
    """Return the questions that a track poses, the headline first."""
    return tuple(question for question in QUESTIONS if SWAPS[question].is_posed_by(track))
