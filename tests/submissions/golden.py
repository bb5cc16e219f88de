"""Reads golden numbers, and compares with them in float64 and in float32."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "golden"
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}  # of the largest value of an array
ROUNDED = 1e-7  # likewise, where a file holds numbers rounded to float32
in_both_precisions = pytest.mark.parametrize("dtype", list(TOLERANCES), ids=lambda dtype: str(dtype).split(".")[1])


@dataclass(frozen=True)
class Golden:
    """The arrays of a file whose names start with `case`, in one precision.

    Attributes:
        arrays: by name, without the case and the two underscores after it.
        dtype: of the tensors.
        tolerance: of comparisons, as a share of the largest value of an array.
    """

    arrays: dict[str, NDArray[Any]]
    dtype: torch.dtype
    tolerance: float

    def tensor(self, name: str) -> Tensor:
        """Return an array as a tensor; whole numbers stay whole."""
        tensor = torch.from_numpy(self.arrays[name])
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def variable(self, name: str) -> Tensor:
        """Return an array as a tensor that gets a gradient."""
        return self.tensor(name).clone().requires_grad_()

    def number(self, name: str, *index: int) -> float:
        """Return one number of an array."""
        return float(self.arrays[name][index])

    def assert_close(self, actual: Tensor | None, name: str, *index: int) -> None:
        """Compare a tensor with an array, or with an entry of it, up to the tolerance of the precision."""
        assert actual is not None
        assert actual.dtype == self.dtype
        self.assert_equal_to(actual, self.arrays[name][index])

    def assert_equal_to(self, actual: Tensor, expected: NDArray[Any]) -> None:
        """Compare a tensor with numbers up to the tolerance."""
        tolerance = max(self.tolerance, ROUNDED if expected.dtype == np.float32 else 0.0)
        np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


def read_golden(file: str, dtype: torch.dtype, case: str = "", tolerance: float | None = None) -> Golden:
    """Return the arrays of a file; of a `case`, those of the case alone. None is the tolerance of the precision."""
    prefix = f"{case}__" if case else ""
    with np.load(FOLDER / file, allow_pickle=False) as arrays:
        named = {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}
    return Golden(named, dtype, tolerance or TOLERANCES[dtype])
