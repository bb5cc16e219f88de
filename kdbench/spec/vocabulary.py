"""The words of the benchmark as types: families, directions, teacher biases, axes, precisions."""

from typing import Final, Literal, NamedTuple, get_args

Family = Literal["cnn", "vit"]
"""A kind of network."""

FAMILIES: tuple[Family, ...] = get_args(Family)
"""All families."""

Direction = Literal["cnn-to-vit", "vit-to-cnn", "cnn-to-cnn", "vit-to-vit"]
"""Which family teaches which: the teacher's, then the student's."""

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
"""All directions; a track has some of them."""

TeacherBias = Literal["shape", "texture", "natural"]
"""What a teacher's decisions rely on: a cue that its training planted, or what it came to rely on by itself."""

Axis = Literal["clean", "texture", "shape", "locality", "scramble", "noise", "cue-conflict"]
"""What a test set measures; the name of a manipulation of images, or of none."""

BIAS_AXES: tuple[Axis, ...] = ("texture", "shape", "locality", "scramble", "noise")
"""The axes of a bias profile."""

Precision = Literal["float32", "bfloat16"]
"""The number format of forward passes."""

Primary = Literal["transfer", "gap-closed"]
"""The number that a track's boards rank by: tau of planted biases, or G of natural ones."""

INDEPENDENT: Final = "independent"
"""The name of the method without a teacher, under the same budget."""

TEACHER: Final = "teacher"
"""The method name of trained teachers."""

UNTRAINED: Final = "untrained"
"""The method name of teachers that are never trained."""


class FamilyPair(NamedTuple):
    """The families of a direction."""

    teacher: Family
    student: Family


def families(direction: Direction) -> FamilyPair:
    """Return the families of the teacher and of the student."""
    teacher, student = direction.split("-to-")
    return FamilyPair(teacher, student)  # type: ignore[arg-type]
