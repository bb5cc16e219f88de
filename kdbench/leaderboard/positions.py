"""Methods without alpha: how far their students moved towards the teacher, against what controls reach without it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.geometry import TICKS, Band, Scale, Tick
from kdbench.leaderboard.rows import ArmLine, RowView
from kdbench.scoring.estimates import Estimate, Range, Undefined


@dataclass(frozen=True)
class Position:
    """A method without transfer; `x`, `low` and `high` are the transfer index in percent of the width.

    Attributes:
        reason: why it has no transfer.
    """

    view: RowView
    reason: str
    index: Estimate
    x: float
    low: float
    high: float


@dataclass(frozen=True)
class Positions:
    """All methods of a board that have no transfer because they have students of one teacher only.

    Attributes:
        band: what the null controls reach; None without them.
        undefined: why methods have no transfer index, each with its name.
    """

    lines: tuple[Position, ...]
    band: Band | None
    ticks: tuple[Tick, ...]
    undefined: tuple[str, ...]


def positions(view: BoardView) -> Positions | None:
    """Return the methods of a board of architecture that have no alpha; None if each has both students."""
    single = [(row, row.lines[0]) for row in view.methods if _has_one_teacher(row)]
    if view.board.question != "architecture" or not single:
        return None
    measured = [(row, index) for row, line in single if (index := _index(line)) is not None]
    reach = view.board.index_band
    scale = Scale.around(_ends([*(index for _, index in measured), *([reach] if reach else [])]), 0.0, 1.0)
    return Positions(
        lines=tuple(_position(row, index, scale) for row, index in measured),
        band=Band.of(reach, scale),
        ticks=tuple(Tick(scale.percent(value), wording.number(value, 1)) for value in TICKS),
        undefined=tuple(_undefined(single)),
    )


def _has_one_teacher(row: RowView) -> bool:
    return isinstance(row.row.transfer, Undefined) and len({line.arm.teacher for line in row.lines}) == 1


def _index(line: ArmLine) -> Estimate | None:
    movement = line.arm.movement
    return movement.transfer_index if movement and isinstance(movement.transfer_index, Estimate) else None


def _ends(ranges: Iterable[Estimate | Range]) -> Iterator[float]:
    for reach in ranges:
        yield from (reach.low, reach.high)


def _position(row: RowView, index: Estimate, scale: Scale) -> Position:
    reason = row.row.transfer.reason if isinstance(row.row.transfer, Undefined) else ""
    return Position(row, reason, index, *(scale.percent(end) for end in (index.value, index.low, index.high)))


def _undefined(single: Sequence[tuple[RowView, ArmLine]]) -> Iterator[str]:
    for row, line in single:
        index = line.arm.movement.transfer_index if line.arm.movement else None
        if not isinstance(index, Estimate):
            why = index.reason if index else "no seed has the student, the independent student and the teacher"
            yield f"{row.name}: {why}"
