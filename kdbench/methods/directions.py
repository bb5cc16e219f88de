"""In which directions a method can train besides those that it is published for."""

from collections.abc import Collection, Sequence

from kdbench.spec import Direction, within_family


def beyond_paper(directions: Sequence[Direction], needs: Collection[str], *, uses_teacher: bool) -> list[Direction]:
    """Return the directions with a teacher of the student's own family that a method can answer and does not list.

    Args:
        directions: that the method is published for.
        needs: the fields of an output that it reads. Only a ViT has `attention`; both families have all other fields.
        uses_teacher: whether it has a teacher at all.
    """
    if not uses_teacher or "attention" in needs:
        return []
    own = dict.fromkeys(within_family(direction) for direction in directions)
    return [direction for direction in own if direction not in directions]
