"""Checks that the weights that a run starts from are those of their record."""

from pathlib import Path

from kdbench.errors import DataError
from kdbench.plan.matrix import PlannedRun
from kdbench.records import WEIGHTS


class IntactWeights:
    """Compares weights with their records; a file that several runs need is read once while it stays as it is."""

    def __init__(self) -> None:
        self._compared: set[tuple[Path, int, int]] = set()

    def check(self, run: PlannedRun, folder: Path, digest: str | None) -> None:
        """Compare the weights of a run with their digest.

        Args:
            run: whose weights they are.
            folder: of its record.
            digest: of the weights, as the record has it; None compares nothing.

        Raises:
            DataError: the weights are missing, damaged or have another digest; the message names the folder to move.
        """
        from kdbench.networks.models import read_weights  # PyTorch takes seconds to import

        path = folder / WEIGHTS
        if (identity := _identity(path)) in self._compared:
            return
        try:
            read_weights(path, digest)
        except DataError as error:
            raise DataError(f"{run.title}: {error}") from error
        if identity:
            self._compared.add(identity)


def _identity(path: Path) -> tuple[Path, int, int] | None:
    """Return the path, time and size of a file, by which a rewritten file is noticed, or None if it does not exist."""
    if not path.is_file():
        return None
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size
