"""The terms of the benchmark as types: families, directions, questions, teacher biases, axes, precisions."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, get_args

Family = Literal["cnn", "vit"]
"""A kind of network."""

FAMILIES: tuple[Family, ...] = get_args(Family)
"""All families."""

FAMILY_NAMES: Final[Mapping[Family, str]] = {"cnn": "CNN", "vit": "ViT"}
"""The families for people."""

Direction = Literal["cnn-to-vit", "vit-to-cnn", "cnn-to-cnn", "vit-to-vit"]
"""The family of the teacher, then that of the student."""

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
"""All directions; a track uses some of them."""

TeacherBias = Literal["shape", "texture", "natural"]
"""What a teacher's decisions rely on: a planted cue, or whatever it learned to rely on without planting."""

Question = Literal["architecture", "planted"]
"""What is swapped between two students that differ in nothing but their teacher: its architecture, or a planted cue."""

QUESTIONS: tuple[Question, ...] = get_args(Question)
"""All questions, the headline first; a track poses some of them."""

Axis = Literal["clean", "texture", "shape", "locality", "scramble", "noise", "background", "cue-conflict"]
"""What a test set measures: the name of a manipulation of images, or "clean" for none."""

BIAS_AXES: tuple[Axis, ...] = ("texture", "shape", "locality", "scramble", "noise")
"""The axes of a bias profile."""

Precision = Literal["float32", "bfloat16"]
"""The number format of forward passes."""

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


class TeacherKind(NamedTuple):
    """What tells the teachers of a seed apart."""

    family: Family
    bias: TeacherBias


def families(direction: Direction) -> FamilyPair:
    """Return the families of the teacher and of the student."""
    teacher, student = direction.split("-to-")
    return FamilyPair(teacher, student)  # type: ignore[arg-type]


def within_family(direction: Direction) -> Direction:
    """Return the direction with the same student and a teacher of the student's own family."""
    student = families(direction).student
    return f"{student}-to-{student}"  # type: ignore[return-value]


def question_of(bias: TeacherBias) -> Question:
    """Return the question that teachers of a bias belong to."""
    return "architecture" if bias == "natural" else "planted"
