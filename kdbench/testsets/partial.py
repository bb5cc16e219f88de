"""Long work in pieces: finished pieces are kept on disk, so that a build that was killed goes on where it stopped.

A CPU and a GPU round differently, so the pieces that each has made lie apart and never become one array.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kdbench.data.array_types import AnyArray
from kdbench.files import DAMAGES, atomic_file

CHUNK = 64  # images per piece; part of no recipe, since an image does not depend on the others
PARTIAL = "partial"


def in_pieces(
    folder: Path,
    total: int,
    make: Callable[[slice], dict[str, AnyArray]],
    progress: Callable[[int, int], None],
    *,
    device_class: str,
) -> dict[str, AnyArray]:
    """Return long arrays made piece by piece; pieces of an earlier attempt on the same class of device are reused.

    Args:
        folder: of the entry that the arrays are for; named after its recipe, so that pieces of two recipes never meet.
        total: rows of each array, at least one.
        make: makes the rows of a slice, by array.
        progress: called after each piece with how many rows are done, and how many there are.
        device_class: of what `make` computes on, "cpu" or "cuda".
    """
    pieces = []
    for start in range(0, total, CHUNK):
        rows = slice(start, min(start + CHUNK, total))
        path = folder / PARTIAL / device_class / f"{start:06d}.npz"
        piece = _kept(path, rows)
        if piece is None:
            piece = make(rows)
            with atomic_file(path) as file:
                np.savez(file, **piece)  # type: ignore[arg-type]
        pieces.append(piece)
        progress(rows.stop, total)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def forget_pieces(folder: Path) -> None:
    """Remove what is kept of an entry that is complete, whatever it was made on."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def _kept(path: Path, rows: slice) -> dict[str, AnyArray] | None:
    """Return the piece on disk; None if there is none, or none that can be read whole."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            piece = {name: arrays[name] for name in arrays.files}
    except DAMAGES:
        return None
    whole = piece and all(len(array) == rows.stop - rows.start for array in piece.values())
    return piece if whole else None
