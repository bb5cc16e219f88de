"""Whether the weights that a run would start from are those that their record tells of."""

from pathlib import Path

from kdbench.errors import DataError
from kdbench.plan.matrix import PlannedRun
from kdbench.records import WEIGHTS


class IntactWeights:
    """Compares weights with their records; a file that many runs need is read once while it stays as it is."""

    def __init__(self) -> None:
        self._compared: set[tuple[Path, int, int]] = set()

    def check(self, run: PlannedRun, folder: Path, digest: str | None) -> None:
        """Compares the weights of a run.

        Args:
            run: whose weights they are.
            folder: of its record.
            digest: of the weights, as the record has it; None compares nothing.

        Raises:
            DataError: they are missing, damaged or others; the message names the folder to delete.
        """
        from kdbench.networks.models import read_weights  # PyTorch takes seconds to import

        path = folder / WEIGHTS
        if (seen := _identity(path)) in self._compared:
            return
        try:
            read_weights(path, digest)
        except DataError as error:
            raise DataError(f"{run.title}: {error}") from error
        if seen:
            self._compared.add(seen)


def _identity(path: Path) -> tuple[Path, int, int] | None:
    """What changes when a file is written again; None if there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return path, found.st_mtime_ns, found.st_size
