"""What a second computation of a run said of its record; it lies beside the record as `verification.json`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from kdbench.errors import describe_error, describe_invalid
from kdbench.files import atomic_file
from kdbench.records.schema import Environment, Predictions, Record, SetPredictions
from kdbench.records.storage import record_digest
from kdbench.records.summary import summarise
from kdbench.spec import FrozenModel

logger = logging.getLogger(__name__)

VERIFICATION: Final = "verification.json"
LONGEST_NAME: Final = 80  # characters of the name of whoever verifies
Verdict = Literal["equal", "within tolerance", "different"]
How = Literal["evaluated", "retrained"]
_QUESTION = ("index", "target", "texture")
_PROBABILITIES = ("confidence", "nll", "brier", "kl")


class Tolerance(FrozenModel):
    """How much another machine may change by rounding alone, on every test set.

    Attributes:
        accuracy: largest difference of the macro accuracy.
        answers: largest share of the images that get another class.
    """

    accuracy: float
    answers: float


TOLERANCES: Final[Mapping[How, Tolerance]] = {
    "evaluated": Tolerance(accuracy=0.005, answers=0.01),
    "retrained": Tolerance(accuracy=0.03, answers=0.1),
}
"""Where they come from: "What a record proves" in `benchmark/PROTOCOL.md`."""


class Differences(FrozenModel, allow_inf_nan=False):
    """How the answers of a second computation differ from those of the record.

    Attributes:
        accuracy, accuracy_on: the largest difference of a macro accuracy, and the test set that has it.
        answers, answers_on: the largest share of images that got another class, and the test set that has it.
        probability: the largest difference of the predicted class's probability.
        identical: whether every number of the answers is the same bit for bit, wherever both keep it.
        weights: whether the weights are the same bit for bit; None where nothing was trained.
        counts: whether the harness counted the same steps and images; None where nothing was trained.
    """

    accuracy: float
    accuracy_on: str
    answers: float
    answers_on: str
    probability: float
    identical: bool
    weights: bool | None = None
    counts: bool | None = None


class Verification(FrozenModel):
    """What a second computation of a run said of its record.

    Attributes:
        of: digest of the record that was verified.
        by: who did it.
        when: UTC, as ISO 8601 with seconds.
        how: "evaluated" from the weights beside the record, or "retrained" from its fields and the method's file.
        machine: that computed the second time.
        tolerance: beyond which a difference was not taken for one of rounding.
    """

    schema_version: Literal[1] = 1
    of: str
    by: Annotated[str, Field(max_length=LONGEST_NAME)]
    when: Annotated[str, Field(max_length=40)]
    how: How
    machine: Environment
    verdict: Verdict
    tolerance: Tolerance
    differences: Differences

    @property
    def words(self) -> str:
        """A few words for people."""
        return f"{self.verdict} when {self.how} by {self.by}, {self.when[:10]}"


def differences_of(record: Record, kept: Predictions, again: Predictions) -> Differences:
    """Return how answers that were computed again differ from those of a record.

    Args:
        record: the record.
        kept: its answers.
        again: the answers of the second computation, to all test sets of the first.
    """
    sums = summarise(again)
    accuracy = {name: abs(sums[name].macro_accuracy - result.macro_accuracy) for name, result in record.test.items()}
    answers = {name: _share_of_others(first, again[name]) for name, first in kept.items()}
    accuracy_on, answers_on = (max(shares, key=lambda name: shares[name]) for shares in (accuracy, answers))
    pairs = [(first, again[name]) for name, first in kept.items() if _asks_the_same(first, again[name])]
    return Differences(
        accuracy=accuracy[accuracy_on],
        accuracy_on=accuracy_on,
        answers=answers[answers_on],
        answers_on=answers_on,
        probability=max((_largest(first.confidence, second.confidence) for first, second in pairs), default=1.0),
        identical=len(pairs) == len(kept) and all(_identical(first, second) for first, second in pairs),
    )


def _asks_the_same(first: SetPredictions, second: SetPredictions) -> bool:
    """Return whether answers are to the same images with the same right answers."""
    return all(np.array_equal(getattr(first, key), getattr(second, key)) for key in _QUESTION)


def _share_of_others(first: SetPredictions, second: SetPredictions) -> float:
    """Return the share of images that got another class; all of them if the images are not the same."""
    return float(np.mean(first.label != second.label)) if _asks_the_same(first, second) else 1.0


def _largest(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the largest difference where both have a number; 0 where neither has any."""
    both = np.isfinite(first) & np.isfinite(second)
    return float(np.abs(first[both].astype(np.float64) - second[both]).max(initial=0.0))


def _identical(first: SetPredictions, second: SetPredictions) -> bool:
    probabilities = ((getattr(first, key), getattr(second, key)) for key in _PROBABILITIES)
    return np.array_equal(first.label, second.label) and all(_same(*pair) for pair in probabilities)


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Return whether numbers are equal wherever both were kept."""
    both = ~(np.isnan(first) | np.isnan(second))
    return np.array_equal(first[both], second[both])


def verdict_on(differences: Differences, tolerance: Tolerance) -> Verdict:
    """Return the verdict that differences deserve."""
    if differences.counts is False:
        return "different"
    if differences.identical and differences.weights is not False:
        return "equal"
    is_within = differences.accuracy <= tolerance.accuracy and differences.answers <= tolerance.answers
    return "within tolerance" if is_within else "different"


def write_verification(folder: Path, verification: Verification) -> None:
    """Write a verification beside its record."""
    with atomic_file(folder / VERIFICATION) as file:
        file.write(verification.model_dump_json(indent=1).encode() + b"\n")


def read_verification(folder: Path, record: Record) -> Verification | None:
    """Return the verification of a record.

    None without one, where it cannot be read, or where it speaks of another record or of another state of this one.
    """
    path = folder / VERIFICATION
    try:
        verification = Verification.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = describe_invalid(error, Verification) if isinstance(error, ValidationError) else describe_error(error)
        logger.warning("%s is not a verification and is not used: %s; `kdbench verify` writes it anew", path, reason)
        return None
    return verification if verification.of == record_digest(record) else None
