"""Long work in pieces: finished pieces are kept on disk, so that a killed build continues where it stopped.

A CPU and a GPU round differently. Their pieces are therefore kept in different folders and never joined into one array.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kdbench.data.array_types import AnyArray
from kdbench.files import DAMAGES, atomic_file

CHUNK = 64  # images per piece; not part of a recipe, since an image does not depend on the other images
PARTIAL = "partial"


def in_pieces(
    folder: Path,
    total: int,
    make: Callable[[slice], dict[str, AnyArray]],
    progress: Callable[[int, int], None],
    *,
    device_class: str,
) -> dict[str, AnyArray]:
    """Make long arrays piece by piece; pieces of an earlier attempt on the same class of device are reused.

    Args:
        folder: of the entry for the arrays. Its name contains the digest of the recipe, so recipes do not share pieces.
        total: number of rows of each array, at least one.
        make: makes the rows of a slice, by array.
        progress: called after each piece with the number of finished rows and their total number.
        device_class: of the device that `make` uses, "cpu" or "cuda".
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
    """Remove the pieces of a complete entry, of all classes of devices."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def _kept(path: Path, rows: slice) -> dict[str, AnyArray] | None:
    """Return the piece on disk; None if there is none, or if it is incomplete or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            piece = {name: arrays[name] for name in arrays.files}
    except DAMAGES:
        return None
    whole = piece and all(len(array) == rows.stop - rows.start for array in piece.values())
    return piece if whole else None
