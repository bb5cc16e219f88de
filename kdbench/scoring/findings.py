"""The words for what a row shows: "transfers", "a trace", "none larger", "none shown"; "overshoot" or "moved away".

Each word rests on a one-sided test of transfer against a margin: 0, 1, or the smallest effect of interest. All rows of
a board with the seeds of a rank are tested, and Holm's correction counts all of them, for each word by itself. The
level is half of 1 minus the confidence, so no word contradicts the interval that is shown, and the chance that any row
of a board wrongly has a given word is at most that level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kdbench.scoring.corrections import holm
from kdbench.scoring.intervals import p_above_zero
from kdbench.scoring.scores import Beyond, Board, DoseResponse, Finding, Row
from kdbench.scoring.transfer import Contrast, excess
from kdbench.spec import Scoring

FINE: Final = 0.05


@dataclass(frozen=True)
class Verdict:
    """What the tests of one row show.

    Attributes:
        finding: about the size of transfer.
        beyond: whether it is surely outside [0, 1], and on which side.
        p_value: one-sided, that transfer is not above 0, adjusted for all rows.
    """

    finding: Finding
    beyond: Beyond | None
    p_value: float


def verdicts(contrasts: Sequence[Contrast], tests: int, scoring: Scoring) -> tuple[Verdict, ...]:
    """Return what each row shows, in the order given.

    Args:
        contrasts: of the rows that are tested, each with a defined transfer and at least `interval_seeds` seeds.
        tests: size of the family, including rows that could not be tested.
        scoring: confidence and smallest effect.
    """
    smallest, level = scoring.smallest_effect, (1 - scoring.confidence) / 2

    def adjusted(margin: float, *, above: bool) -> tuple[float, ...]:
        return holm([_p_value(contrast, margin, above=above) for contrast in contrasts], tests)

    above_zero = adjusted(0.0, above=True)
    surely = [
        [p <= level for p in p_values]
        for p_values in (
            above_zero,
            adjusted(smallest, above=True),
            adjusted(smallest, above=False),
            adjusted(1.0, above=True),
            adjusted(0.0, above=False),
        )
    ]
    return tuple(
        Verdict(_finding(positive, large, small), _beyond(over, away), p_value)
        for p_value, positive, large, small, over, away in zip(above_zero, *surely, strict=True)
    )


def _p_value(contrast: Contrast, margin: float, *, above: bool) -> float:
    """Return one-sided p for transfer not being above `margin`, or not below it."""
    value, errors = excess(contrast, margin)
    return p_above_zero(value if above else -value, errors)


def _finding(positive: bool, large: bool, small: bool) -> Finding:
    """Return the word for a transfer that is surely above 0, and surely above or below the smallest effect."""
    if large:
        return "transfers"
    if positive:
        return "a trace"
    return "none larger" if small else "none shown"


def _beyond(over: bool, away: bool) -> Beyond | None:
    if over:
        return "overshoot"
    return "moved away" if away else None


def finding_words(row: Row, board: Board) -> tuple[str, ...]:
    """Return what a row shows in words for people, such as "none larger than 0.05", "moved away", "not proportional".

    Empty for a row without a finding. A row that is not proportional says so whether it has a finding or not.
    """
    size = f"none larger than {board.smallest_effect:g}" if row.finding == "none larger" else row.finding
    response = row.dose_response
    label = "not proportional" if isinstance(response, DoseResponse) and not response.proportional else None
    return tuple(words for words in (size, row.beyond, label) if words)


def digits_of(transfer: float) -> int:
    """Return with how many decimals a transfer is shown: three below the size of 0.05, so that a trace is not 0.0."""
    return 3 if abs(transfer) < FINE else 2
