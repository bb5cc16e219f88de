"""The geometry of the page's charts, in percent of their width or height. Templates draw them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor
from typing import Self

from kdbench.scoring.estimates import Estimate, Range, Score

TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


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

    @classmethod
    def of(cls, reach: Range | None, scale: Scale) -> Self | None:
        """Return the band of a range of values; None for None."""
        if reach is None:
            return None
        left = scale.percent(reach.low)
        return cls(left, round(scale.percent(reach.high) - left, 2))


@dataclass(frozen=True)
class Whisker:
    """An estimate with its interval on a chart, in percent of the width."""

    score: Estimate
    x: float
    low: float
    high: float

    @classmethod
    def of(cls, score: Score | None, scale: Scale) -> Self | None:
        """Return the place of a score; None if it has no number."""
        if not isinstance(score, Estimate):
            return None
        return cls(score, *(scale.percent(value) for value in (score.value, score.low, score.high)))


@dataclass(frozen=True)
class Tick:
    """A labelled position on a chart's axis, in percent of the width or of the height."""

    x: float
    text: str


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Return the multiples of the smallest round step within [low, high] that are at most `most` values."""
    for step in _STEPS:
        first, last = ceil(round(low / step, 6)), floor(round(high / step, 6))
        if last - first < most:
            break
    return [round(number * step, 6) for number in range(first, last + 1)]
