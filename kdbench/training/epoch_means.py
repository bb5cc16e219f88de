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

    Attributes:
        sums: by name. A sum stays the same tensor in all epochs, so that captured steps can add to it.
        logged: by name, how often a number was logged since the last `take`.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.sums: dict[str, Tensor] = {}
        self.logged: defaultdict[str, int] = defaultdict(int)

    def add(self, scalars: Mapping[str, float | Tensor]) -> None:
        """Log numbers by name."""
        for name, value in scalars.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros((), device=self._device)
            self.sums[name] += value.detach().float() if isinstance(value, Tensor) else float(value)
            self.logged[name] += 1

    def take(self) -> dict[str, float]:
        """Return the means of all numbers that were logged since the last call."""
        means = {name: (self.sums[name] / count).item() for name, count in self.logged.items()}
        for total in self.sums.values():
            total.zero_()
        self.logged.clear()
        return means

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"sums": dict(self.sums), "logged": dict(self.logged)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.sums.update({name: total.to(self._device) for name, total in state["sums"].items()})
        self.logged.update(state["logged"])
