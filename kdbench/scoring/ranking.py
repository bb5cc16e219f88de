"""Who is better than whom: ranks that methods share until their seeds tell them apart, and tests that add up.

Methods are compared pairwise by seed. Jackknife pseudo-values make a seed's contribution to a ratio a number, so that
the ordinary analysis of a method x seed table applies: what a seed does to all methods alike drops out.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kdbench.scoring.intervals import left_out
from kdbench.scoring.metrics import Floats


@dataclass(frozen=True)
class Primary:
    """The primary number of a row as a function of its seeds.

    Attributes:
        seeds: (K,) different ones.
        parts: arrays (K, ..., 1 + S), a row a seed: the data, then resamples of the test images, the same for all rows.
        number: (1 + S,) of such arrays.
    """

    seeds: tuple[int, ...]
    parts: tuple[Floats, ...]
    number: Callable[..., Floats]

    def on(self, seeds: Sequence[int]) -> "Primary":
        """The same on some of its seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Primary(tuple(seeds), tuple(part[rows] for part in self.parts), self.number)

    def pseudo_values(self) -> Floats:
        """(K,) contributions of the seeds: K theta - (K - 1) theta without the seed. Source: Tukey (1958)."""
        count, data = len(self.seeds), [part[..., :1] for part in self.parts]
        values: Floats = count * self.number(*data)[0] - (count - 1) * left_out(self.number, data)[:, 0]
        return values

    def over_images(self) -> Floats:
        """(S,) the number on every resample of the images."""
        return self.number(*self.parts)[1:]


@dataclass(frozen=True)
class RankInterval:
    """From 1 + the number of significantly better rows to M - the number of significantly worse ones."""

    low: int
    high: int


def common_seeds(entries: Mapping[int, Sequence[int]], least: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seeds that rows are compared on, and the rows that have them all.

    Those `least` seeds that most rows have (the smaller seed where as many have either) decide which rows are compared;
    then all seeds count that these rows share.

    Args:
        entries: seeds by the row's number.
        least: how many seeds a comparison needs.
    """
    counts = Counter(seed for seeds in entries.values() for seed in seeds)
    needed = set(sorted(counts, key=lambda seed: (-counts[seed], seed))[:least])
    rows = tuple(row for row, seeds in entries.items() if needed <= set(seeds))
    shared = set.intersection(*(set(entries[row]) for row in rows)) if rows else set()
    return tuple(sorted(shared)), rows


def rank_intervals(rows: Sequence[Primary], confidence: float) -> tuple[RankInterval, ...]:
    """Simultaneous rank intervals of M rows, from `surely_better`.

    Args:
        rows: with the same seeds; larger is better.
        confidence: of all comparisons together.
    """
    better = surely_better(rows, confidence)
    above, below = better.sum(axis=0), better.sum(axis=1)
    return tuple(RankInterval(1 + int(a), len(rows) - int(b)) for a, b in zip(above, below, strict=True))


def surely_better(rows: Sequence[Primary], confidence: float) -> NDArray[np.bool_]:
    """(M, M) whether the row of the first index is better than that of the second; all pairs at once, by Tukey's range.

    Two rows differ if their mean pseudo-values are further apart than q(M, (M - 1)(K - 1)) sqrt(MS / K), with MS the
    residual mean square of the method x seed table, and the image error of their difference in quadrature.

    Source: Tukey (1953), "The problem of multiple comparisons"; pseudo-values: Miller (1974), Biometrika 61.

    Args:
        rows: M rows with the same K seeds, K at least 3; larger is better.
        confidence: of all comparisons together.
    """
    if len(rows) < 2:
        return np.zeros((len(rows), len(rows)), bool)
    table = np.stack([row.pseudo_values() for row in rows])
    means = table.mean(axis=1)
    better: NDArray[np.bool_] = means[:, None] - means > _least_differences(table, rows, confidence)
    return better


def residual_mean_square(table: Floats) -> float:
    """What is left of an (M, K) table without the effects of its rows and columns, over (M - 1)(K - 1)."""
    rows, columns = table.shape
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((residual**2).sum() / ((rows - 1) * (columns - 1)))


@cache
def tukey_quantile(confidence: float, means: int, degrees_of_freedom: float) -> float:
    """Quantile of the range of several means in standard errors of one; found numerically, which takes a while."""
    from scipy.stats import studentized_range  # takes a second to import

    return float(studentized_range.ppf(confidence, means, degrees_of_freedom))


def _least_differences(table: Floats, rows: Sequence[Primary], confidence: float) -> Floats:
    """(M, M) how far apart two rows must be to differ."""
    methods, seeds = table.shape
    over_seeds = tukey_quantile(confidence, methods, (methods - 1) * (seeds - 1))
    over_images = tukey_quantile(confidence, methods, np.inf)
    samples = np.stack([row.over_images() for row in rows])
    variance = (samples[:, None] - samples).var(axis=-1, ddof=1)
    half = variance / 2  # the studentised range counts in errors of one row, as MS / K is
    least: Floats = np.sqrt(over_seeds**2 * residual_mean_square(table) / seeds + over_images**2 * half)
    return least


def holm(p_values: Sequence[float], tests: int | None = None) -> tuple[float, ...]:
    """p-values adjusted for their number: reject those not above the level, and no more than the level is ever wrong.

    Source: Holm (1979), Scandinavian Journal of Statistics 6.

    Args:
        p_values: of the tests that were made.
        tests: of the whole family, with those that could not be made and count as 1; None for no more than were made.
    """
    made, family = len(p_values), max(len(p_values), tests or 0)
    return _holm([*p_values, *[1.0] * (family - made)])[:made]


def _holm(p_values: Sequence[float]) -> tuple[float, ...]:
    order = np.argsort(p_values, kind="stable")
    steps = len(order) - np.arange(len(order))
    adjusted = np.minimum(np.maximum.accumulate(steps * np.asarray(p_values)[order]), 1.0)
    result = np.empty(len(order))
    result[order] = adjusted
    return tuple(float(one) for one in result)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted so that, of those not above the level, no more than the level is wrong on average.

    Source: Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57.
    """
    order = np.argsort(p_values, kind="stable")[::-1]
    scaled = np.asarray(p_values)[order] * len(order) / np.arange(len(order), 0, -1)
    result = np.empty(len(order))
    result[order] = np.minimum.accumulate(np.minimum(scaled, 1.0))
    return tuple(float(one) for one in result)
