"""The methods of all boards: who each of them is, what it shows to its networks, and where it was run."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.leaderboard.anchors import slug
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.method_cards import MethodCard
from kdbench.leaderboard.rows import RowView


@dataclass(frozen=True)
class MethodEntry:
    """A method or control of the page.

    Attributes:
        card: None for a method that is not shipped.
        images_shown: what it shows to its networks, in its own words; empty where no record says so.
        places: its rows, each with its board.
        beyond_paper: directions of training for which it is not published, in words.
    """

    name: str
    control: bool
    card: MethodCard | None
    images_shown: str
    places: tuple[tuple[BoardView, RowView], ...]
    beyond_paper: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return method_anchor(self.places[0][1])


def method_entries(views: Sequence[BoardView]) -> tuple[MethodEntry, ...]:
    """Return an entry per method and then per control, by name."""
    places: dict[tuple[bool, str, bool], list[tuple[BoardView, RowView]]] = {}
    for view in views:
        for row in view.rows:
            if row.row.kind in ("method", "control", "independent"):
                key = (row.row.kind != "method", row.row.method, row.card is None)
                places.setdefault(key, []).append((view, row))
    return tuple(_entry(places[key]) for key in sorted(places))


def method_anchor(row: RowView) -> str:
    """Return the id of the entry of a row's method; methods that are not shipped have entries of their own."""
    kind = "method" if row.row.kind == "method" else "control"
    return f"{kind}-{slug(row.row.method)}{'' if row.card else '-unknown'}"


def _entry(places: Sequence[tuple[BoardView, RowView]]) -> MethodEntry:
    rows = [row for _, row in places]
    return MethodEntry(
        name=rows[0].row.method,
        control=rows[0].row.kind != "method",
        card=rows[0].card,
        images_shown=next((row.images_shown for row in rows if row.images_shown), ""),
        places=tuple(places),
        beyond_paper=tuple(
            dict.fromkeys(
                f"{view.student} {line.label}" for view, row in places for line in row.lines if line.beyond_paper
            )
        ),
    )
