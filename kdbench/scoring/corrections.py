"""p-values adjusted for the number of tests."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float], tests: int | None = None) -> tuple[float, ...]:
    """Return p-values adjusted so that the chance of any wrong rejection stays below the level: Holm's method.

    Source: Holm (1979), Scandinavian Journal of Statistics 6.

    Args:
        p_values: of the tests that were made.
        tests: of the whole family, including those that could not be made, which count as p = 1; None for no more
            tests than were made.
    """
    made, family = len(p_values), max(len(p_values), tests or 0)
    return _holm([*p_values, *[1.0] * (family - made)])[:made]


def _holm(p_values: Sequence[float]) -> tuple[float, ...]:
    order = np.argsort(p_values, kind="stable")
    steps = len(order) - np.arange(len(order))
    adjusted = np.minimum(np.maximum.accumulate(steps * np.asarray(p_values)[order]), 1.0)
    result = np.empty(len(order))
    result[order] = adjusted
    return tuple(result.tolist())


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted so that, of the rejected ones, the expected share of wrong ones stays below the level.

    Source: Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values)[order] * (len(order) / np.arange(1, len(order) + 1))
    result = np.empty(len(order))
    result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return tuple(result.tolist())
