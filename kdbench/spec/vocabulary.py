"""The words of the benchmark as types: families, directions, teacher biases, axes, precisions."""

from typing import Final, Literal, get_args

Family = Literal["cnn", "vit"]
Direction = Literal["cnn-to-vit", "vit-to-cnn", "cnn-to-cnn", "vit-to-vit"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FAMILIES: tuple[Family, ...] = get_args(Family)
TeacherBias = Literal["shape", "texture", "natural"]
Axis = Literal["clean", "texture", "shape", "locality", "scramble", "noise", "cue-conflict"]
BIAS_AXES: tuple[Axis, ...] = ("texture", "shape", "locality", "scramble", "noise")
Precision = Literal["float32", "bfloat16"]
Primary = Literal["transfer", "gap-closed"]
INDEPENDENT: Final = "independent"  # the method without a teacher, under the same budget
TEACHER: Final = "teacher"  # the method name of trained teachers
UNTRAINED: Final = "untrained"  # the method name of teachers that are never trained


def families(direction: Direction) -> tuple[Family, Family]:
    """Teacher family, student family."""
    teacher, student = direction.split("-to-")
    return teacher, student  # type: ignore[return-value]
