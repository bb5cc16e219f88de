"""Products and squared distances of mean profiles, without what noise over seeds adds to them."""

import numpy as np

from kdbench.scoring.jackknife import joint_spread, left_out
from kdbench.scoring.metrics import FloatArray
from kdbench.spec import Scoring


def debiased_dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the product of two mean profiles, summed over axes, minus what their covariance over seeds adds to it.

    mean(a) . mean(b) - sum_axes Cov_k(a, b) / K; without the second term for one seed.

    Args:
        first, second: (K, axes, ...).

    Returns:
        (...).
    """
    seeds = len(first)
    mean_first, mean_second = first.sum(axis=0) / seeds, second.sum(axis=0) / seeds  # `mean` is slow on few numbers
    products = mean_first * mean_second
    if seeds > 1:
        covariance = ((first - mean_first) * (second - mean_second)).sum(axis=0) / (seeds - 1)
        products = products - covariance / seeds
    dot: FloatArray = products.sum(axis=0)
    return dot


def squared_length(vectors: FloatArray) -> FloatArray:
    """Return the debiased squared length of the mean of (K, axes, ...) vectors."""
    return debiased_dot(vectors, vectors)


def is_apart(difference: FloatArray, scoring: Scoring) -> bool:
    """Return whether two kinds of networks differ: the lower end of the interval of their squared distance is above 0.

    The interval covers seeds and images from `interval_seeds` seeds on, and images alone with fewer.

    Args:
        difference: (K, axes, 1 + S) between seed-paired profiles; the data, then its resamples.
        scoring: confidence and the number of seeds.
    """
    whole = squared_length(difference)
    over_seeds = len(difference) >= scoring.interval_seeds
    folds = left_out(squared_length, [difference[..., 0]])[:, None] if over_seeds else None
    spread = joint_spread(whole[None], folds, scoring).reshape(-1)[0]
    return bool(whole[0] > np.sqrt(spread))
