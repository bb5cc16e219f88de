"""The multi-bootstrap, which resamples seeds and test images together, as a check of the intervals on the page.

With few seeds its intervals are too narrow: a nominal 95 % interval covers the truth less often. It is therefore shown
next to the intervals of the jackknife and of Fieller and does not replace them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kdbench.randomness import below, words
from kdbench.scoring.metrics import FloatArray

WORDS = 4  # an item of a stream has a multiple of four words


def multi_bootstrap(
    number: Callable[..., FloatArray], parts: Sequence[FloatArray], confidence: float
) -> tuple[float, float] | None:
    """Return the percentile interval of a number over seeds drawn with replacement, each draw on its own images.

    Deviations are multiplied by sqrt(K / (K - 1)), since resamples of K seeds vary less than samples of K seeds by this
    factor.

    Source: Sellam et al. (2022), arXiv:2106.16163, section 3.

    Args:
        number: (S,) of arrays (K, ..., S).
        parts: arrays (K, ..., 1 + S), the same seeds in each; K at least 2. Draw s takes image resample s.
        confidence: of the two-sided interval.

    Returns:
        None if fewer than nine of ten draws give a number.
    """
    seeds, samples = len(parts[0]), parts[0].shape[-1] - 1
    per_item = -(-seeds // WORDS) * WORDS
    random = words("scoring", "multi-bootstrap", first=0, count=samples, per_item=per_item)
    drawn = below(random[:, :seeds], seeds)
    values = number(*(_drawn_from(part, drawn) for part in parts))
    finite = values[np.isfinite(values)]
    if len(finite) < 0.9 * samples:
        return None
    centre = float(number(*(part[..., :1] for part in parts))[0])
    spread = (finite - finite.mean()) * np.sqrt(seeds / (seeds - 1))
    low, high = np.quantile(spread, [(1 - confidence) / 2, (1 + confidence) / 2])
    return centre + float(low), centre + float(high)


def _drawn_from(part: FloatArray, drawn: NDArray[np.int64]) -> FloatArray:
    """Return (K, ..., S): in draw s, the seeds `drawn[s]` on image resample s.

    Args:
        part: (K, ..., 1 + S).
        drawn: (S, K) rows of `part`.
    """
    resamples = np.moveaxis(part[..., 1:], -1, 0)
    return np.moveaxis(resamples[np.arange(len(drawn))[:, None], drawn], 0, -1)
