"""In which directions a method can train besides those that it is published for."""

from collections.abc import Collection, Sequence

from kdbench.api import Method
from kdbench.spec import Direction, within_family


def declared_directions(method: type[Method]) -> tuple[Direction, ...]:
    """Return the directions that a method is published for, then those that it names besides."""
    return (*method.directions, *method.beyond_paper)


def beyond_paper(
    directions: Sequence[Direction], named: Sequence[Direction], needs: Collection[str], *, uses_teacher: bool
) -> list[Direction]:
    """Return the directions that a method can answer and is not published for.

    These are the directions that it names itself, and those with a teacher of the student's own family.

    Args:
        directions: that the method is published for.
        named: its own `beyond_paper`.
        needs: the fields of an output that it reads. Only a ViT has `attention`; both families have all other fields.
        uses_teacher: whether it has a teacher at all.
    """
    further = list(named)
    if uses_teacher and "attention" not in needs:
        further += [within_family(direction) for direction in (*directions, *named)]
    return [direction for direction in dict.fromkeys(further) if direction not in directions]
