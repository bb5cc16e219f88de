"""Ranks methods. Methods that their seeds do not separate share ranks.

All pairs of methods are compared on the same seeds. Jackknife pseudo-values express the contribution of a seed to a
ratio as a number, so that the ordinary analysis of a method x seed table applies: an effect of a seed on all methods
cancels.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench.scoring.jackknife import left_out
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.quantiles import tukey_quantile


@dataclass(frozen=True)
class RankedNumber:
    """The number that ranks a row, as a function of its seeds.

    Attributes:
        seeds: (K,) distinct seeds.
        parts: arrays (K, ..., 1 + S), one row per seed: the data, then resamples of the test images, the same in all
            rows of the board.
        number: (1 + S,) of such arrays.
    """

    seeds: tuple[int, ...]
    parts: tuple[FloatArray, ...]
    number: Callable[..., FloatArray]

    def on(self, seeds: Sequence[int]) -> "RankedNumber":
        """Return the number on some of its seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return RankedNumber(tuple(seeds), tuple(part[rows] for part in self.parts), self.number)

    def pseudo_values(self) -> FloatArray:
        """Return (K,) contributions of the seeds: K theta - (K - 1) theta without the seed. Source: Tukey (1958)."""
        count, data = len(self.seeds), [part[..., :1] for part in self.parts]
        values: FloatArray = count * self.number(*data)[0] - (count - 1) * left_out(self.number, data)[:, 0]
        return values

    def over_images(self) -> FloatArray:
        """Return (S,) values of the number, one on every resample of the images."""
        return self.number(*self.parts)[1:]


@dataclass(frozen=True)
class RankInterval:
    """From 1 plus the number of significantly better rows to M minus the number of significantly worse ones."""

    low: int
    high: int


def common_seeds(seeds_of: Mapping[int, Sequence[int]], least: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the seeds on which rows are compared, and the rows that have all of them.

    Rows are compared if they have the `least` most frequent seeds (of equally frequent seeds, the smaller ones). The
    comparison then uses all seeds that these rows share.

    Args:
        seeds_of: seeds by number of the row.
        least: smallest number of seeds for a comparison.
    """
    counts = Counter(seed for seeds in seeds_of.values() for seed in seeds)
    needed = set(sorted(counts, key=lambda seed: (-counts[seed], seed))[:least])
    rows = tuple(row for row, seeds in seeds_of.items() if needed <= set(seeds))
    shared = set.intersection(*(set(seeds_of[row]) for row in rows)) if rows else set()
    return tuple(sorted(shared)), rows


def rank_intervals(rows: Sequence[RankedNumber], confidence: float) -> tuple[RankInterval, ...]:
    """Return simultaneous rank intervals of M rows, from `surely_better`.

    Args:
        rows: numbers with the same seeds; larger is better.
        confidence: of all comparisons together.
    """
    better = surely_better(rows, confidence)
    above, below = better.sum(axis=0), better.sum(axis=1)
    return tuple(RankInterval(1 + int(a), len(rows) - int(b)) for a, b in zip(above, below, strict=True))


def surely_better(rows: Sequence[RankedNumber], confidence: float) -> NDArray[np.bool_]:
    """Return (M, M) whether the row of the first index is better than that of the second, by Tukey's range test.

    Two rows differ if their mean pseudo-values are further apart than q(M, (M - 1)(K - 1)) sqrt(MS / K), with MS the
    residual mean square of the method x seed table, and the image error of their difference in quadrature.

    Source: Tukey (1953), "The problem of multiple comparisons"; pseudo-values: Miller (1974), Biometrika 61.

    Args:
        rows: M numbers with the same K seeds, K at least 3; larger is better.
        confidence: of all comparisons together.
    """
    if len(rows) < 2:
        return np.zeros((len(rows), len(rows)), bool)
    table = np.stack([row.pseudo_values() for row in rows])
    means = table.mean(axis=1)
    better: NDArray[np.bool_] = means[:, None] - means > _least_differences(table, rows, confidence)
    return better


def residual_mean_square(table: FloatArray) -> float:
    """Return the mean square of an (M, K) table without the effects of its rows and columns: sum / (M - 1)(K - 1)."""
    rows, columns = table.shape
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((residual**2).sum() / ((rows - 1) * (columns - 1)))


def _least_differences(table: FloatArray, rows: Sequence[RankedNumber], confidence: float) -> FloatArray:
    """Return (M, M), the smallest significant differences between two rows."""
    methods, seeds = table.shape
    over_seeds = tukey_quantile(confidence, methods, (methods - 1) * (seeds - 1))
    over_images = tukey_quantile(confidence, methods, np.inf)
    samples = np.stack([row.over_images() for row in rows])
    variance = np.stack([(of_row - samples).var(axis=-1, ddof=1) for of_row in samples])  # in the memory of one row
    half = variance / 2  # the studentised range counts in errors of one row, as MS / K is
    least: FloatArray = np.sqrt(over_seeds**2 * residual_mean_square(table) / seeds + over_images**2 * half)
    return least
