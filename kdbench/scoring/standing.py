"""Ranks, tests and badges of the rows of a board that meet every condition."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.comparisons import PairedContrast, PairedTriangle
from kdbench.scoring.gap import gap_errors, gap_number, one_axis
from kdbench.scoring.intervals import DIGITS, Errors, p_above_zero
from kdbench.scoring.ranking import Primary, RankInterval, common_seeds, holm, rank_intervals
from kdbench.scoring.scores import Badge, Estimate, Range, Row
from kdbench.scoring.transfer import transfer_errors, transfer_number
from kdbench.spec import Scoring

Paired = PairedContrast | PairedTriangle


@dataclass(frozen=True)
class Entry:
    """A row with what its primary number rests on; None where that is undefined."""

    row: Row
    paired: Paired | None

    @property
    def primary(self) -> Primary | None:
        """The primary number as a function of seeds."""
        match self.paired:
            case PairedContrast(seeds, contrast):
                return Primary(seeds, (contrast.students, contrast.teachers), transfer_number)
            case PairedTriangle(seeds, triangle):
                return Primary(seeds, triangle.parts, gap_number)
        return None

    def evidence(self) -> tuple[float, Errors]:
        """A number with the sign of the primary one, and its errors."""
        match self.paired:
            case PairedContrast(_, contrast):
                return transfer_errors(contrast)
            case PairedTriangle(_, triangle):
                return gap_errors(triangle)
        raise ValueError("an undefined number has no evidence")


def with_standing(entries: Sequence[Entry], scoring: Scoring) -> list[Row]:
    """The rows of one direction's methods with ranks, tests and badges, in the order given.

    Those without a reason against it are ranked among themselves and tested against 0, Holm over all of them.
    """
    able = {number: primary for number, entry in enumerate(entries) if (primary := _to_be_ranked(entry)) is not None}
    seeds, ranked = common_seeds({number: one.seeds for number, one in able.items()}, scoring.ranked_seeds)
    ranks = rank_intervals([able[number].on(seeds) for number in ranked], scoring.confidence)
    p_values = holm([p_above_zero(*entries[number].evidence()) for number in ranked])
    rows = [entry.row for entry in entries]
    for number in able:
        why = f"was not run on the seeds {', '.join(map(str, seeds))} that the ranked rows share"
        rows[number] = rows[number].model_copy(update={"unranked": why})
    for number, rank, p_value in zip(ranked, ranks, p_values, strict=True):
        rows[number] = _ranked(entries[number].row, rank, p_value, scoring)
    return rows


def _to_be_ranked(entry: Entry) -> Primary | None:
    return None if entry.row.unranked else entry.primary


def _ranked(row: Row, rank: RankInterval, p_value: float, scoring: Scoring) -> Row:
    return row.model_copy(
        update={
            "rank": rank.low,
            "rank_high": rank.high,
            "p_value": round(p_value, DIGITS),
            "badges": _badges(row, p_value, scoring),
        }
    )


def cross_check(entry: Entry, scoring: Scoring) -> Range | None:
    """The multi-bootstrap's interval of a primary number that has one over seeds."""
    primary, score = entry.primary, entry.row.primary
    if primary is None or not isinstance(score, Estimate) or score.covers == "images":
        return None
    found = multi_bootstrap(primary.number, primary.parts, scoring.confidence)
    return Range(low=round(found[0], DIGITS), high=round(found[1], DIGITS)) if found else None


def null_band(rows: Iterable[Row], scoring: Scoring) -> Range | None:
    """What the controls that should score nothing reach, from the lowest to the highest end of their intervals."""
    scores = [row.primary for row in rows if row.kind == "control" and row.method in scoring.null_controls]
    found = [score for score in scores if isinstance(score, Estimate)]
    return Range(low=min(one.low for one in found), high=max(one.high for one in found)) if found else None


def _badges(row: Row, p_value: float, scoring: Scoring) -> tuple[Badge, ...]:
    shown = p_value <= 1 - scoring.confidence
    if row.transfer is not None:
        return ("bias transfer shown",) if shown else ()
    movement = row.arms[0].movement
    single = movement is not None and one_axis(movement.gap_closed, movement.gap_by_axis, scoring) is not None
    badges: dict[Badge, bool] = {"G only": shown, "one-axis": single}
    return tuple(badge for badge, given in badges.items() if given)
