"""Says which weights lie beside a record that had lost its own: those of a second training.

They may differ by rounding. The record stays as it is. Where the second training gave the weights of the record,
nothing is said.
"""

from pathlib import Path

from pydantic import ValidationError

from kdbench.errors import RecordError, describe_invalid
from kdbench.files import atomic_file
from kdbench.records.schema import Record
from kdbench.spec import FrozenModel

RESTORED = "restored.json"


class RestoredWeights(FrozenModel):
    """The fields of `restored.json`.

    Attributes:
        of: digest of the record.
        weights: digest of the weights that lie beside it.
        accuracy: the largest difference of a macro accuracy between the record and these weights.
    """

    of: str | None
    weights: str | None
    accuracy: float


def write_restored(folder: Path, restored: RestoredWeights) -> None:
    """Write `restored.json` beside a record."""
    with atomic_file(folder / RESTORED) as file:
        file.write(restored.model_dump_json(indent=1).encode() + b"\n")


def read_restored(folder: Path, record: Record) -> RestoredWeights | None:
    """Return what `restored.json` says of a record; None if there is none, or if it is of another record.

    Raises:
        RecordError: the file is damaged.
    """
    path = folder / RESTORED
    if not path.exists():
        return None
    try:
        restored = RestoredWeights.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = describe_invalid(error, RestoredWeights) if isinstance(error, ValidationError) else error.strerror
        raise RecordError(f"{path} cannot be read: {reason}; move it and the weights beside it elsewhere") from error
    return restored if restored.of == record.digests.record else None


def weights_beside(folder: Path, record: Record) -> str | None:
    """Return the digest of the weights that lie beside a record: its own, or those of a second training."""
    restored = read_restored(folder, record)
    return restored.weights if restored else record.digests.weights
