"""The words for what rows show: known answers, their families, and how often they are wrong."""

import pytest

from kdbench.scoring.estimates import Estimate
from kdbench.scoring.findings import Verdict, digits_of, verdicts
from kdbench.scoring.transfer import transfer
from kdbench.testsets.spec import load_spec
from tests.scoring.contrasts import drawn

SCORING = load_spec().scoring


def verdict_of(share: float, *, spread: float = 0.005, entropy: int = 0) -> Verdict:
    (verdict,) = verdicts([drawn(share, entropy, spread=spread, image_error=1e-4)], 1, SCORING)
    return verdict


@pytest.mark.parametrize(
    ("share", "finding", "beyond"),
    [
        (0.5, "transfers", None),
        (0.03, "a trace", None),
        (0.0, "none larger", None),
        (1.3, "transfers", "overshoot"),
        (-0.3, "none larger", "moved away"),
    ],
)
def test_a_well_measured_transfer_gets_its_word(share: float, finding: str, beyond: str | None) -> None:
    verdict = verdict_of(share)
    assert (verdict.finding, verdict.beyond) == (finding, beyond)


def test_a_noisy_row_shows_none() -> None:
    assert verdict_of(0.0, spread=0.2).finding == "none shown"


def test_a_student_below_zero_has_moved_away_only_if_its_interval_says_so() -> None:
    assert verdict_of(-0.02, spread=0.1).beyond is None


def test_a_larger_family_needs_stronger_evidence() -> None:
    sample = drawn(0.1, 3, spread=0.02)
    (alone,), (among_many,) = (verdicts([sample], tests, SCORING) for tests in (1, 500))
    assert (alone.finding, among_many.finding) == ("transfers", "a trace")
    assert among_many.p_value == pytest.approx(500 * alone.p_value)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1])
def test_no_word_contradicts_the_interval_that_is_shown(share: float) -> None:
    smallest = SCORING.smallest_effect
    for entropy in range(60):
        sample = drawn(share, entropy)
        score = transfer(sample, SCORING)
        assert isinstance(score, Estimate)
        (verdict,) = verdicts([sample], 1, SCORING)
        expected = (
            "transfers" if score.low > smallest else
            "a trace" if score.low > 0 else
            "none larger" if score.high < smallest else
            "none shown"
        )  # fmt: skip
        assert verdict.finding == expected


def test_a_board_of_rows_at_the_smallest_effect_rarely_says_transfers_or_none_larger() -> None:
    """Six rows, each a case in which "transfers" and "none larger" would both be wrong: 2.5 % of boards for each."""
    wrong = {"transfers": 0, "none larger": 0}
    for board in range(150):
        rows = [drawn(SCORING.smallest_effect, 100 * board + row) for row in range(6)]
        findings = {verdict.finding for verdict in verdicts(rows, 6, SCORING)}
        wrong = {word: count + (word in findings) for word, count in wrong.items()}
    assert all(count / 150 <= 0.06 for count in wrong.values())


def test_small_transfers_are_shown_with_three_decimals() -> None:
    assert [digits_of(value) for value in (0.05, 0.0499, 0.0, -0.02, -0.3)] == [2, 3, 3, 3, 2]
