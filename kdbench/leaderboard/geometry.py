"""The geometry of the page's charts, in percent of their width or height. Templates draw them."""

from collections.abc import Iterable
from dataclasses import dataclass

TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Scale:
    """A linear map of [low, high] to [margin, 100 - margin] percent."""

    low: float
    high: float
    margin: float = 3.0

    @classmethod
    def around(cls, values: Iterable[float], low: float, high: float, margin: float = 3.0) -> "Scale":
        """Return the scale from `low` to `high`, widened to hold all values."""
        kept = list(values)
        return cls(min([low, *kept]), max([high, *kept]), margin)

    def percent(self, value: float) -> float:
        """Return where a value lies, in percent, to two decimals."""
        span = self.high - self.low or 1.0
        return round(self.margin + (100 - 2 * self.margin) * (value - self.low) / span, 2)


@dataclass(frozen=True)
class Band:
    """A shaded stretch of a chart, in percent of the width."""

    left: float
    width: float


@dataclass(frozen=True)
class Tick:
    """A labelled position on a chart's axis, in percent of the width."""

    x: float
    text: str
