"""The boards of the two questions: which teachers are swapped on a board, and which records belong to it."""

from collections.abc import Sequence

from kdbench.records import Record
from kdbench.spec import (
    FAMILIES,
    QUESTIONS,
    Direction,
    Question,
    TeacherKind,
    Track,
    families,
    question_of,
)

BoardKey = tuple[Question, Direction]


def swapped_teachers(question: Question, direction: Direction) -> tuple[TeacherKind, TeacherKind]:
    """Return teachers A and B of a board, in this order; transfer is of A minus B.

    Args:
        question: of the board.
        direction: of the board, from a teacher of the other family to the student.
    """
    teacher, student = families(direction)
    if question == "architecture":
        return TeacherKind(teacher, "natural"), TeacherKind(student, "natural")
    return TeacherKind(teacher, "shape"), TeacherKind(teacher, "texture")


def teacher_of(record: Record) -> TeacherKind | None:
    """Return what kind of teacher a student had, or what kind a teacher is; None for a student without a teacher."""
    if record.teacher_bias is None:
        return None
    family = families(record.direction).teacher if record.direction else record.family
    return TeacherKind(family, record.teacher_bias)


def belongs(record: Record, question: Question, direction: Direction) -> bool:
    """Return whether a run belongs to a board: a teacher that is swapped on it, or a student of its family."""
    teacher = teacher_of(record)
    if record.direction is None:
        return teacher in swapped_teachers(question, direction)
    if teacher is None:
        return record.direction == direction
    return (question_of(teacher.bias), _board_direction(record.direction, question)) == (question, direction)


def boards_of(records: Sequence[Record], track: Track) -> list[BoardKey]:
    """Return the boards that records make, the headline question first, then by the track's order of directions.

    A question has a board for each direction of its students or, without students, for each direction of the track in
    which its teachers could teach.
    """
    order = {direction: place for place, direction in enumerate(track.directions)}
    keys = {key for question in _questions(records) for key in _boards_of_question(records, question, track)}
    return sorted(keys, key=lambda key: (QUESTIONS.index(key[0]), order.get(key[1], len(order)), key[1]))


def _questions(records: Sequence[Record]) -> set[Question]:
    """Return the questions of students with a teacher or, without them, those of teachers, or else the headline."""
    taught = {record.question for record in records if record.direction and record.question}
    return taught or {record.question for record in records if record.question} or {QUESTIONS[0]}


def _boards_of_question(records: Sequence[Record], question: Question, track: Track) -> list[BoardKey]:
    of_question = [record for record in records if record.question in (question, None)]
    directions = {_board_direction(record.direction, question) for record in of_question if record.direction}
    if not directions:
        teachers = {record.family for record in of_question}
        directions = {direction for direction in track.directions if families(direction).teacher in teachers}
    return [(question, direction) for direction in directions]


def _board_direction(direction: Direction, question: Question) -> Direction:
    """Return the direction of a student's board: students of natural teachers of their own family are arm B of it."""
    teacher, student = families(direction)
    if question == "planted" or teacher != student:
        return direction
    (other,) = (family for family in FAMILIES if family != student)
    return f"{other}-to-{student}"  # type: ignore[return-value]
