"""Work in pieces goes on where it was stopped, on the same class of device."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.data.array_types import AnyArray
from kdbench.testsets.partial import CHUNK, forget_pieces, in_pieces


def killed_at(rows: slice) -> dict[str, AnyArray]:
    """Ones, until the second piece."""
    if rows.start:
        raise KeyboardInterrupt
    return {"numbers": np.ones(rows.stop - rows.start, np.int64)}


def twos(rows: slice) -> dict[str, AnyArray]:
    return {"numbers": np.full(rows.stop - rows.start, 2)}


def silent(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(("later", "kept"), [("cuda", CHUNK), ("cpu", 0)])
def test_pieces_of_a_gpu_and_of_a_processor_never_become_one_array(tmp_path: Path, later: str, kept: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        in_pieces(tmp_path, 2 * CHUNK, killed_at, silent, device_class="cuda")
    whole = in_pieces(tmp_path, 2 * CHUNK, twos, silent, device_class=later)["numbers"]
    assert (whole == 1).sum() == kept
    forget_pieces(tmp_path)
    assert not list(tmp_path.iterdir())
