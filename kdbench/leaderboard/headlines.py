"""The answer of a board in a sentence: what its best method passes on, how sure that is, and what it costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView
from kdbench.leaderboard.rows import RowView
from kdbench.scoring.estimates import Estimate

_MOST_NAMES = 3  # rows that share a place and are named


@dataclass(frozen=True)
class Headline:
    """A sentence about a board.

    Attributes:
        leader: the row that the sentence is about; None if no method has a number.
        words: what follows the name of the leader, or the whole sentence without one.
        tally: how many ranked methods transfer, in words; empty without ranks.
    """

    view: BoardView
    leader: RowView | None
    words: str
    tally: str


def headline(view: BoardView) -> Headline:
    """Return the sentence about a board."""
    leader = leading_row(view)
    if leader is None:
        why = "No method has a number here yet." if view.methods else "No method has been run here yet."
        return Headline(view, None, why, "")
    return Headline(view, leader, f"{'; '.join(_clauses(view, leader))}.", _tally(view.methods))


def leading_row(view: BoardView) -> RowView | None:
    """Return the method with the largest transfer: of the ranked ones if there are any, else of the official ones."""
    measured = [row for row in view.methods if isinstance(row.row.transfer, Estimate)]
    kinds = ([row for row in measured if row.ranked], [row for row in measured if not row.row.unofficial], measured)
    best = next((rows for rows in kinds if rows), None)
    return max(best, key=_transfer) if best else None


def _transfer(row: RowView) -> float:
    return row.row.transfer.value if isinstance(row.row.transfer, Estimate) else float("-inf")


def _clauses(view: BoardView, leader: RowView) -> Iterator[str]:
    score = leader.row.transfer
    assert isinstance(score, Estimate)
    yield f"{_claim(leader, score)}{_sharing(view.methods, leader)}{_cost(leader)}"
    yield from _losses(leader)


def _claim(leader: RowView, score: Estimate) -> str:
    interval = f"[{percent(score.low)},\u00a0{percent(score.high)}]"
    size = f"{percent(score.value)} % of the teachers’ difference {interval}"
    if leader.row.beyond == "overshoot":
        return f"passes on more than the teachers differ, {size},"
    if leader.row.finding == "a trace":
        return f"passes on a trace, {size},"
    if leader.row.finding in ("none shown", "none larger"):
        return f"has the largest estimate, {size}, which is not surely above 0,"
    if score.covers == "images":
        seeds = wording.plural(score.seeds, "seed")
        return f"passes on {size} in {seeds}, so far without an interval over seeds,"
    return f"passes on {size}"


def percent(share: float) -> str:
    """Return a share in percent without its sign; with a decimal where it is small."""
    return wording.number(100 * share, 1 if abs(share) < 0.1 else 0)


def _sharing(rows: Sequence[RowView], leader: RowView) -> str:
    """Return with whom the leader shares the first place, if the seeds do not separate them."""
    if not leader.ranked or leader.row.rank_high in (None, leader.row.rank):
        return ""
    others = [row.name for row in rows if row is not leader and row.ranked and row.row.rank == leader.row.rank]
    if not others:
        return ""
    names = wording.listing(others) if len(others) <= _MOST_NAMES else f"{len(others)} others"
    return f" (the seeds do not separate it from {names})"


def _cost(leader: RowView) -> str:
    time = leader.relative_time
    return f" at {wording.ratio(time)} times the training time of independent" if time is not None else ""


def _losses(leader: RowView) -> Iterator[str]:
    """Yield what the students of the leader surely lose or gain in clean accuracy against independent."""
    for line in leader.lines:
        gain = line.arm.movement.clean_gain if line.arm.movement else None
        if isinstance(gain, Estimate) and (gain.high < 0 or gain.low > 0):
            verb = "loses" if gain.value < 0 else "gains"
            points = wording.number(100 * abs(gain.value), 1)
            student = f"student of the {wording.teacher_words(line.arm.teacher)}" if line.arm.teacher else "student"
            yield f"its {student} {verb} {points} points of accuracy"


def _tally(rows: Sequence[RowView]) -> str:
    ranked = [row for row in rows if row.ranked]
    if not ranked:
        return ""
    transferring = sum(row.row.finding == "transfers" for row in ranked)
    verb = "transfers" if transferring == 1 else "transfer"
    return f"{transferring} of {wording.plural(len(ranked), 'ranked method')} {verb}."
