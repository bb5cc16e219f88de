"""Ranks, tests and findings of the rows of a board that meet every condition."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.comparisons import PairedContrast
from kdbench.scoring.corrections import benjamini_hochberg
from kdbench.scoring.estimates import Estimate, Range, Score
from kdbench.scoring.findings import verdicts
from kdbench.scoring.intervals import DIGITS, p_above_zero
from kdbench.scoring.ranking import RankedNumber, common_seeds, rank_intervals
from kdbench.scoring.scores import Row
from kdbench.scoring.transfer import excess, transfer_number
from kdbench.spec import BIAS_AXES, Axis, Question, Scoring, TeacherKind


@dataclass(frozen=True)
class RowEvidence:
    """A row with the comparison from which its transfer is computed.

    Attributes:
        paired: None where transfer is undefined.
    """

    row: Row
    paired: PairedContrast | None

    @property
    def by_seeds(self) -> RankedNumber | None:
        """Transfer as a function of seeds; None where it is undefined."""
        if self.paired is None:
            return None
        return RankedNumber(self.paired.seeds, (self.paired.contrast.products(),), transfer_number)

    def axis_tests(self) -> Iterator[tuple[Axis, float]]:
        """Yield p-values for the transfer on one axis not being above 0, for the axes on which it is defined."""
        for number, axis in enumerate(BIAS_AXES):
            if self.paired and isinstance(self.row.transfer_by_axis.get(axis), Estimate):
                yield axis, p_above_zero(*excess(self.paired.contrast.axis(number), 0.0))


def with_standing(evidence: Sequence[RowEvidence], scoring: Scoring) -> list[Row]:
    """Return the rows of one direction's methods with ranks, tests and findings, in the order given.

    Rows that meet every condition are ranked among themselves and tested against 0. Holm's correction counts what
    `tests_of` counts. The tests by axis, a secondary question, are corrected by the method of Benjamini and Hochberg.
    """
    rows = [of_row.row for of_row in evidence]
    eligible = {number: by_seeds for number, of_row in enumerate(evidence) if (by_seeds := _to_be_ranked(of_row))}
    seeds, ranked = common_seeds(
        {number: by_seeds.seeds for number, by_seeds in eligible.items()}, scoring.ranked_seeds
    )
    ranks = rank_intervals([eligible[number].on(seeds) for number in ranked], scoring.confidence)
    shown = _shown([evidence[number] for number in ranked], tests_of(rows, scoring), scoring)
    by_axis = _tests_by_axis([evidence[number] for number in ranked])
    for number in eligible:
        why = f"the row lacks some of the seeds {', '.join(map(str, seeds))}, which all ranked rows share"
        rows[number] = rows[number].model_copy(update={"unranked": why})
    for number, rank, findings, p_by_axis in zip(ranked, ranks, shown, by_axis, strict=True):
        standing = {"rank": rank.low, "rank_high": rank.high, "p_by_axis": p_by_axis}
        rows[number] = evidence[number].row.model_copy(update=standing | findings)
    return rows


def tests_of(rows: Iterable[Row], scoring: Scoring) -> int:
    """Return the size of a board's family of tests: the number of official rows of methods with the seeds of a rank.

    Seeds that failed count, and so do rows that cannot be tested for another reason. A row with fewer seeds is not
    going to be tested, so that a look at one's own method does not weaken the evidence for the others.
    """
    official = [row for row in rows if row.kind == "method" and not row.unofficial]
    return sum(all(len(arm.run_ids) >= scoring.ranked_seeds for arm in row.arms) for row in official)


def _tests_by_axis(evidence: Sequence[RowEvidence]) -> list[dict[Axis, float]]:
    """Return per row and axis the p-value of its transfer on that axis, adjusted for all of them."""
    tests = [(number, axis, p) for number, of_row in enumerate(evidence) for axis, p in of_row.axis_tests()]
    adjusted = benjamini_hochberg([p for *_, p in tests])
    rows: list[dict[Axis, float]] = [{} for _ in evidence]
    for (number, axis, _), p_value in zip(tests, adjusted, strict=True):
        rows[number][axis] = round(p_value, DIGITS)
    return rows


def _to_be_ranked(evidence: RowEvidence) -> RankedNumber | None:
    return None if evidence.row.unranked else evidence.by_seeds


def _shown(evidence: Sequence[RowEvidence], tests: int, scoring: Scoring) -> list[dict[str, object]]:
    """Return what each row shows of transfer, as fields of rows."""
    contrasts = [of_row.paired.contrast for of_row in evidence if of_row.paired]
    return [
        {"finding": verdict.finding, "beyond": verdict.beyond, "p_value": round(verdict.p_value, DIGITS)}
        for verdict in verdicts(contrasts, tests, scoring)
    ]


def cross_check(evidence: RowEvidence, scoring: Scoring) -> Range | None:
    """Return the multi-bootstrap's interval of a transfer that has an interval over seeds."""
    by_seeds, score = evidence.by_seeds, evidence.row.transfer
    if by_seeds is None or not isinstance(score, Estimate) or score.covers == "images":
        return None
    bounds = multi_bootstrap(by_seeds.number, by_seeds.parts, scoring.confidence)
    return Range(low=round(bounds[0], DIGITS), high=round(bounds[1], DIGITS)) if bounds else None


def null_band(rows: Iterable[Row], question: Question, scoring: Scoring) -> Range | None:
    """Return the range of the null controls, including their intervals; None if no such interval covers seeds."""
    return _band(row.transfer for row in _null_controls(rows, question, scoring))


def index_band(rows: Iterable[Row], teacher: TeacherKind, scoring: Scoring) -> Range | None:
    """Return the range of the transfer index TI of the null controls, including their intervals.

    A method without alpha is compared with it.

    Args:
        rows: of a board of the architecture question.
        teacher: of the other family.
        scoring: names the null controls.
    """
    controls = _null_controls(rows, "architecture", scoring)
    arms = (arm for row in controls for arm in row.arms if arm.teacher in (None, teacher))
    return _band(arm.movement.transfer_index for arm in arms if arm.movement)


def _null_controls(rows: Iterable[Row], question: Question, scoring: Scoring) -> Iterator[Row]:
    """Yield the rows of a question's null controls, which get no trained teacher's answers to single images."""
    return (row for row in rows if row.kind == "control" and row.method in scoring.null_controls[question])


def _band(scores: Iterable[Score | None]) -> Range | None:
    """Return the range of the intervals that cover seeds; None without any."""
    estimates = [score for score in scores if isinstance(score, Estimate) and score.covers != "images"]
    if not estimates:
        return None
    return Range(low=min(score.low for score in estimates), high=max(score.high for score in estimates))
