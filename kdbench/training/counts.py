"""What a run has counted, so that a step that was only tried, or that was repeated, is counted rightly."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """What a run has counted.

    Attributes:
        budget: steps and images by name.
        logged: by name, how often a number was logged in this epoch.
        graph_images: images that went forward through the student with gradient since the last backward pass.
    """

    budget: Mapping[str, int]
    logged: Mapping[str, int]
    graph_images: int = 0

    def minus(self, earlier: "Counts") -> "Counts":
        """Return what was counted since an earlier moment of the same epoch."""
        return Counts(_combined(self.budget, earlier.budget, -1), _combined(self.logged, earlier.logged, -1))

    def plus(self, more: "Counts") -> "Counts":
        """Return these counts and what was counted after them."""
        return Counts(_combined(self.budget, more.budget, 1), _combined(self.logged, more.logged, 1), self.graph_images)


def _combined(first: Mapping[str, int], second: Mapping[str, int], sign: int) -> dict[str, int]:
    sums = {name: first.get(name, 0) + sign * second.get(name, 0) for name in dict.fromkeys([*first, *second])}
    return {name: count for name, count in sums.items() if count}
