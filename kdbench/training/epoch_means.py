"""Means over an epoch of the numbers that a training logs."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class EpochMeans:
    """Sums up logged numbers on the device and returns their means; no step waits for the device.

    Args:
        device: of the sums.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: defaultdict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
        self._logged: defaultdict[str, int] = defaultdict(int)

    def add(self, scalars: Mapping[str, float | Tensor]) -> None:
        """Log numbers by name."""
        for name, value in scalars.items():
            self._sums[name] += value.detach().float() if isinstance(value, Tensor) else value
            self._logged[name] += 1

    def take(self) -> dict[str, float]:
        """Return the means of all numbers that were logged since the last call."""
        means = {name: (total / self._logged[name]).item() for name, total in self._sums.items()}
        self._sums.clear()
        self._logged.clear()
        return means

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"sums": dict(self._sums), "logged": dict(self._logged)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._sums.update({name: total.to(self._device) for name, total in state["sums"].items()})
        self._logged.update(state["logged"])
