"""The question of planted cues: does a student take over what was planted in its teacher?"""

from kdbench.plan.questions.swap import SwappedTeacher, TeacherSwap
from kdbench.spec import Direction, Track


class PlantedSwap(TeacherSwap):
    """Swaps two teachers of the other family whose planted doses differ; each seed has its own pair of doses."""

    question = "planted"

    def is_posed_by(self, track: Track) -> bool:
        """Return whether the spec has doses for the track."""
        return track.planted is not None

    def teachers(self, track: Track, direction: Direction, seed: int) -> tuple[SwappedTeacher, SwappedTeacher]:
        """Return the teachers with the seed's larger and smaller dose."""
        assert track.planted is not None
        shape, texture = track.planted.of_seed(seed)
        return SwappedTeacher(direction, "shape", shape), SwappedTeacher(direction, "texture", texture)
