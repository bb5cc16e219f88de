"""Ranks, tests and findings of the rows of a board that meet every condition."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.comparisons import PairedContrast, PairedTriangle
from kdbench.scoring.corrections import benjamini_hochberg, holm
from kdbench.scoring.estimates import Estimate, Range
from kdbench.scoring.findings import verdicts
from kdbench.scoring.gap import dominant_axis, gap_errors, gap_number, gap_part_errors
from kdbench.scoring.intervals import DIGITS, p_above_zero
from kdbench.scoring.ranking import PrimaryNumber, common_seeds, rank_intervals
from kdbench.scoring.scores import Badge, Row
from kdbench.scoring.transfer import excess, transfer_number
from kdbench.spec import BIAS_AXES, Axis, Scoring

Paired = PairedContrast | PairedTriangle


@dataclass(frozen=True)
class RowEvidence:
    """A row with the comparison from which its primary number is computed.

    Attributes:
        paired: None where the primary number is undefined.
    """

    row: Row
    paired: Paired | None

    @property
    def primary(self) -> PrimaryNumber | None:
        """The primary number as a function of seeds; None where it is undefined."""
        match self.paired:
            case PairedContrast(seeds, contrast):
                return PrimaryNumber(seeds, (contrast.products(),), transfer_number)
            case PairedTriangle(seeds, triangle):
                return PrimaryNumber(seeds, triangle.parts, gap_number)
        return None

    def axis_tests(self) -> Iterator[tuple[Axis, float]]:
        """Yield p-values for the number of one axis not being above 0, for the axes on which it is defined."""
        match self.paired:
            case PairedContrast(_, contrast):
                for number, axis in enumerate(BIAS_AXES):
                    if isinstance(self.row.transfer_by_axis.get(axis), Estimate):
                        yield axis, p_above_zero(*excess(contrast.axis(number), 0.0))
            case PairedTriangle(_, triangle):
                movement = self.row.arms[0].movement
                for number, axis in enumerate(movement.axes if movement else ()):
                    yield axis, p_above_zero(*gap_part_errors(triangle, number))


def with_standing(evidence: Sequence[RowEvidence], scoring: Scoring) -> list[Row]:
    """Return the rows of one direction's methods with ranks, tests and findings, in the order given.

    Rows that meet every condition are ranked among themselves and tested against 0. Holm's correction counts all
    official rows, including those that cannot be tested. The tests by axis, a secondary question, are corrected by the
    method of Benjamini and Hochberg.
    """
    rows = [of_row.row for of_row in evidence]
    eligible = {number: primary for number, of_row in enumerate(evidence) if (primary := _to_be_ranked(of_row))}
    seeds, ranked = common_seeds({number: primary.seeds for number, primary in eligible.items()}, scoring.ranked_seeds)
    ranks = rank_intervals([eligible[number].on(seeds) for number in ranked], scoring.confidence)
    shown = _shown([evidence[number] for number in ranked], tests_of(rows), scoring)
    by_axis = _tests_by_axis([evidence[number] for number in ranked])
    for number in eligible:
        why = f"the row lacks some of the seeds {', '.join(map(str, seeds))}, which all ranked rows share"
        rows[number] = rows[number].model_copy(update={"unranked": why})
    for number, rank, findings, p_by_axis in zip(ranked, ranks, shown, by_axis, strict=True):
        standing = {"rank": rank.low, "rank_high": rank.high, "p_by_axis": p_by_axis}
        rows[number] = evidence[number].row.model_copy(update=standing | findings)
    return rows


def tests_of(rows: Iterable[Row]) -> int:
    """Return the size of a board's family of tests: the number of official rows of methods."""
    return sum(row.kind == "method" and not row.unofficial for row in rows)


def _tests_by_axis(evidence: Sequence[RowEvidence]) -> list[dict[Axis, float]]:
    """Return per row and axis the p-value of its part of the primary number, adjusted for all of them."""
    tests = [(number, axis, p) for number, of_row in enumerate(evidence) for axis, p in of_row.axis_tests()]
    adjusted = benjamini_hochberg([p for *_, p in tests])
    rows: list[dict[Axis, float]] = [{} for _ in evidence]
    for (number, axis, _), p_value in zip(tests, adjusted, strict=True):
        rows[number][axis] = round(p_value, DIGITS)
    return rows


def _to_be_ranked(evidence: RowEvidence) -> PrimaryNumber | None:
    return None if evidence.row.unranked else evidence.primary


def _shown(evidence: Sequence[RowEvidence], tests: int, scoring: Scoring) -> list[dict[str, object]]:
    """Return what each row shows, as fields of rows: a finding about transfer, or badges of G."""
    contrasts = [of_row.paired.contrast for of_row in evidence if isinstance(of_row.paired, PairedContrast)]
    if contrasts:
        return [
            {"finding": verdict.finding, "beyond": verdict.beyond, "p_value": round(verdict.p_value, DIGITS)}
            for verdict in verdicts(contrasts, tests, scoring)
        ]
    triangles = [of_row.paired.triangle for of_row in evidence if isinstance(of_row.paired, PairedTriangle)]
    p_values = holm([p_above_zero(*gap_errors(triangle)) for triangle in triangles], tests)
    return [
        {"p_value": round(p_value, DIGITS), "badges": _badges(of_row.row, p_value, scoring)}
        for of_row, p_value in zip(evidence, p_values, strict=True)
    ]


def cross_check(evidence: RowEvidence, scoring: Scoring) -> Range | None:
    """Return the multi-bootstrap's interval of a primary number that has an interval over seeds."""
    primary, score = evidence.primary, evidence.row.primary
    if primary is None or not isinstance(score, Estimate) or score.covers == "images":
        return None
    bounds = multi_bootstrap(primary.number, primary.parts, scoring.confidence)
    return Range(low=round(bounds[0], DIGITS), high=round(bounds[1], DIGITS)) if bounds else None


def null_band(rows: Iterable[Row], scoring: Scoring) -> Range | None:
    """Return the range of the null controls, including their intervals; None if no such interval covers seeds."""
    scores = [row.primary for row in rows if row.kind == "control" and row.method in scoring.null_controls]
    estimates = [score for score in scores if isinstance(score, Estimate) and score.covers != "images"]
    if not estimates:
        return None
    return Range(low=min(score.low for score in estimates), high=max(score.high for score in estimates))


def _badges(row: Row, p_value: float, scoring: Scoring) -> tuple[Badge, ...]:
    movement = row.arms[0].movement
    single = movement is not None and dominant_axis(movement.gap_closed, movement.gap_by_axis, scoring) is not None
    badges: dict[Badge, bool] = {"G only": p_value <= 1 - scoring.confidence, "one-axis": single}
    return tuple(badge for badge, given in badges.items() if given)
