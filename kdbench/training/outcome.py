"""What a training process leaves behind for the evaluator: a small file beside the weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kdbench.errors import plain_text
from kdbench.files import atomic_file
from kdbench.records import RESULT, Budget, Environment, Status, Timing, read_record

OUTCOME = "training.json"
TALLY = "tally.json"  # what has been counted so far, written with each checkpoint


class TrainingOutcome(BaseModel):
    """How a training ended; the fields are those of `Record`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    status: Status
    reason: str = ""
    budget: Budget = Budget()
    timing: Timing = Timing()
    peak_memory_bytes: int = 0
    parameters: int = 0
    weights: str | None = None
    curves: tuple[dict[str, float], ...] = ()
    environment: Environment | None = None


@dataclass
class Tally:
    """What a training that failed had counted by then; `counted` is None if it failed before it began."""

    counted: TrainingOutcome | None = None

    def failed(self, status: Status, reason: str) -> TrainingOutcome:
        """Return the outcome of the training that failed in this way, its reason cut and without control characters."""
        counted = self.counted or TrainingOutcome(status=status)
        return counted.model_copy(update={"status": status, "reason": plain_text(reason)})


def timing_of(seconds: Mapping[str, float], epochs: Sequence[float], under_way: float) -> Timing:
    """Return the times of a training.

    Args:
        seconds: of each part, as the stopwatch of the run added them up.
        epochs: seconds of each epoch that has ended.
        under_way: seconds of the epoch that has not.
    """
    data, teacher, student, prepare = (seconds.get(part, 0.0) for part in ("data", "teacher", "student", "prepare"))
    training = prepare + sum(epochs) + under_way
    return Timing(
        data=data,
        teacher=teacher,
        student=student,
        prepare=prepare,
        method=max(0.0, training - (data + teacher + student)),
        training=training,
        epochs=tuple(epochs),
    )


def write_outcome(folder: Path, outcome: TrainingOutcome, name: str = OUTCOME) -> None:
    """Write how a training ended, or as `TALLY` what it has counted so far."""
    with atomic_file(folder / name) as file:
        file.write(outcome.model_dump_json(indent=1).encode())


def read_outcome(folder: Path) -> TrainingOutcome | None:
    """Return the outcome in `folder`, or None if training has not ended there."""
    try:
        return TrainingOutcome.model_validate_json((folder / OUTCOME).read_bytes())
    except (OSError, ValidationError):  # a damaged one is worth a second training, no more
        return None


def outcome_of_record(folder: Path) -> TrainingOutcome | None:
    """Return the outcome of a training from its record, to evaluate it once more; None if there is no record."""
    if not (folder / RESULT).exists():
        return None
    record = read_record(folder)
    shared = {name: getattr(record, name) for name in TrainingOutcome.model_fields if name != "weights"}
    return TrainingOutcome(**shared, weights=record.digests.weights)


def ended_training(folder: Path) -> TrainingOutcome | None:
    """Return the outcome of a training that ended in `folder`, evaluated already or not; None if none did."""
    return read_outcome(folder) or outcome_of_record(folder)
