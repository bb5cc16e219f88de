"""Transfer by pair of pretrained backbones, for logit matching."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.leaderboard.boards import BoardView
from kdbench.scoring.estimates import Score

_METHOD = "lm"
_FEWEST = 5  # pairs for which the table is shown


@dataclass(frozen=True)
class PairLine:
    """Transfer of one board, for all seeds and by number of the pair."""

    view: BoardView
    whole: Score
    by_pair: dict[int, Score]


@dataclass(frozen=True)
class PairTable:
    """The boards that have transfer for all of several pairs."""

    method: str
    pairs: tuple[int, ...]
    lines: tuple[PairLine, ...]


def pair_table(views: Sequence[BoardView]) -> PairTable | None:
    """Return the table; None unless a board has logit matching on five pairs of backbones."""
    lines = tuple(
        PairLine(view, row.row.transfer, row.row.transfer_by_pair)
        for view in views
        for row in view.methods
        if row.row.method == _METHOD and row.row.transfer is not None and len(row.row.transfer_by_pair) >= _FEWEST
    )
    pairs = tuple(sorted({pair for line in lines for pair in line.by_pair}))
    return PairTable(_METHOD, pairs, lines) if lines else None
