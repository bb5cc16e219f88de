"""Long work in pieces: what is done is kept on disk, so that a build that was killed goes on where it stopped.

A processor and a GPU round otherwise, so the pieces that each has made lie apart and never become one array.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.files import atomic_file

CHUNK = 64  # images a piece; part of no recipe, since an image does not depend on the others

Array = NDArray[Any]
PARTIAL = "partial"


def in_pieces(
    folder: Path,
    total: int,
    make: Callable[[slice], Array],
    progress: Callable[[int, int], None],
    *,
    device_class: str,
) -> Array:
    """All pieces of a long array, those of an earlier attempt on the same class of device taken from disk.

    Args:
        folder: of the entry that the array is for; named after its recipe, so that pieces of two recipes never meet.
        total: rows of the array.
        make: makes the rows of a slice.
        progress: told after each piece how many rows are done, and how many there are.
        device_class: of what `make` computes on, "cpu" or "cuda".
    """
    pieces = []
    for start in range(0, total, CHUNK):
        rows = slice(start, min(start + CHUNK, total))
        path = folder / PARTIAL / device_class / f"{start:06d}.npy"
        piece = _kept(path, rows)
        if piece is None:
            piece = make(rows)
            with atomic_file(path) as file:
                np.save(file, piece, allow_pickle=False)
        pieces.append(piece)
        progress(rows.stop, total)
    return np.concatenate(pieces)


def forget_pieces(folder: Path) -> None:
    """Removes what is kept of an entry that is complete, whatever it was made on."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def _kept(path: Path, rows: slice) -> Array | None:
    """The piece on disk; None if there is none, or none that can be read whole."""
    try:
        piece: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return piece if len(piece) == rows.stop - rows.start else None
