"""Ranks, tests and badges of the rows of a board that meet every condition."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.comparisons import PairedContrast, PairedTriangle
from kdbench.scoring.gap import gap_errors, gap_number, gap_part_errors, one_axis
from kdbench.scoring.intervals import DIGITS, Errors, p_above_zero
from kdbench.scoring.ranking import Primary, RankInterval, benjamini_hochberg, common_seeds, holm, rank_intervals
from kdbench.scoring.scores import Badge, Estimate, Range, Row
from kdbench.scoring.transfer import transfer_errors, transfer_number
from kdbench.spec import BIAS_AXES, Axis, Scoring

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

    def axis_tests(self) -> Iterator[tuple[Axis, float]]:
        """p-values that the number of an axis alone is not above 0, of the axes on which it is defined."""
        match self.paired:
            case PairedContrast(_, contrast):
                for number, axis in enumerate(BIAS_AXES):
                    if isinstance(self.row.transfer_by_axis.get(axis), Estimate):
                        yield axis, p_above_zero(*transfer_errors(contrast.axis(number)))
            case PairedTriangle(_, triangle):
                movement = self.row.arms[0].movement
                for number, axis in enumerate(movement.axes if movement else ()):
                    yield axis, p_above_zero(*gap_part_errors(triangle, number))


def with_standing(entries: Sequence[Entry], scoring: Scoring) -> list[Row]:
    """The rows of one direction's methods with ranks, tests and badges, in the order given.

    Those without a reason against it are ranked among themselves and tested against 0. Holm's correction is for all
    official rows, those that cannot be tested included; by axis, a secondary question, Benjamini and Hochberg's is.
    """
    able = {number: primary for number, entry in enumerate(entries) if (primary := _to_be_ranked(entry)) is not None}
    seeds, ranked = common_seeds({number: one.seeds for number, one in able.items()}, scoring.ranked_seeds)
    ranks = rank_intervals([able[number].on(seeds) for number in ranked], scoring.confidence)
    family = tests_of(entry.row for entry in entries)
    p_values = holm([p_above_zero(*entries[number].evidence()) for number in ranked], family)
    by_axis = _tests_by_axis([entries[number] for number in ranked])
    rows = [entry.row for entry in entries]
    for number in able:
        why = f"was not run on the seeds {', '.join(map(str, seeds))} that the ranked rows share"
        rows[number] = rows[number].model_copy(update={"unranked": why})
    for number, rank, p_value, p_by_axis in zip(ranked, ranks, p_values, by_axis, strict=True):
        rows[number] = _ranked(entries[number].row, rank, p_value, scoring).model_copy(update={"p_by_axis": p_by_axis})
    return rows


def tests_of(rows: Iterable[Row]) -> int:
    """The size of a board's family of tests: the methods' official rows."""
    return sum(row.kind == "method" and not row.unofficial for row in rows)


def _tests_by_axis(entries: Sequence[Entry]) -> list[dict[Axis, float]]:
    """p-values, of each row by axis, that its part of the primary number is not above 0; adjusted for all of them."""
    found = [(number, axis, p) for number, entry in enumerate(entries) for axis, p in entry.axis_tests()]
    adjusted = benjamini_hochberg([p for *_, p in found])
    rows: list[dict[Axis, float]] = [{} for _ in entries]
    for (number, axis, _), p_value in zip(found, adjusted, strict=True):
        rows[number][axis] = round(p_value, DIGITS)
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
