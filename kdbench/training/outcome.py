"""The outcome of a training: a small file that the training process writes for the evaluator, next to the weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from kdbench.errors import plain_text
from kdbench.files import atomic_file
from kdbench.records import RESULT, Budget, Environment, Line, Status, Timing, read_record
from kdbench.spec import Int64

OUTCOME = "training.json"
TALLY = "tally.json"  # the counts until now, written with each checkpoint


class TrainingOutcome(BaseModel):
    """How a training ended; the fields are those of `Record`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    status: Status
    reason: str = ""
    execution: Line = "eager"
    budget: Budget = Budget()
    timing: Timing = Timing()
    peak_memory_bytes: Int64 = 0
    parameters: Int64 = 0
    weights: str | None = None
    curves: tuple[dict[str, float], ...] = ()
    environment: Environment | None = None


@dataclass
class Tally:
    """The counts of a training until it failed; `counted` is None if it failed before it began."""

    counted: TrainingOutcome | None = None

    def failed(self, status: Status, reason: str) -> TrainingOutcome:
        """Return the outcome of the training that failed in this way, its reason cut and without control characters."""
        counted = self.counted or TrainingOutcome(status=status)
        return counted.model_copy(update={"status": status, "reason": plain_text(reason)})


def timing_of(
    seconds: Mapping[str, float], epochs: Sequence[float], under_way: float, *, in_parts: bool = True
) -> Timing:
    """Return the times of a training.

    Args:
        seconds: of each part, from the stopwatch of the run.
        epochs: seconds of each finished epoch.
        under_way: seconds of the unfinished epoch.
        in_parts: whether the parts of every step were timed; they are unknown for captured steps.
    """
    data, teacher, student, prepare = (seconds.get(part, 0.0) for part in ("data", "teacher", "student", "prepare"))
    training = prepare + sum(epochs) + under_way
    return Timing(
        data=data,
        teacher=teacher if in_parts else None,
        student=student if in_parts else None,
        prepare=prepare,
        method=max(0.0, training - (data + teacher + student)) if in_parts else None,
        training=training,
        epochs=tuple(epochs),
    )


def write_outcome(folder: Path, outcome: TrainingOutcome, name: str = OUTCOME) -> None:
    """Write the outcome of a training or, as `TALLY`, its counts until now."""
    with atomic_file(folder / name) as file:
        file.write(outcome.model_dump_json(indent=1).encode())


def read_outcome(folder: Path) -> TrainingOutcome | None:
    """Return the outcome in `folder`; None if no training has ended there."""
    try:
        return TrainingOutcome.model_validate_json((folder / OUTCOME).read_bytes())
    except (OSError, ValidationError):  # a run with a damaged outcome is trained again
        return None


def outcome_of_record(folder: Path) -> TrainingOutcome | None:
    """Return the outcome of a training from its record, for another evaluation; None if there is no record."""
    if not (folder / RESULT).exists():
        return None
    record = read_record(folder)
    shared = {name: getattr(record, name) for name in TrainingOutcome.model_fields if name != "weights"}
    return TrainingOutcome(**shared, weights=record.digests.weights)


def ended_training(folder: Path) -> TrainingOutcome | None:
    """Return the outcome of a training that ended in `folder`, whether it was evaluated or not; None without one."""
    return read_outcome(folder) or outcome_of_record(folder)
