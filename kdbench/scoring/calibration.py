"""The quality of a network's probabilities: calibration error, negative log-likelihood, Brier score."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdbench.scoring.estimates import Undefined
from kdbench.scoring.statistic import Statistic, mean


def expected_calibration_error(confidence: ArrayLike, right: NDArray[np.bool_], bins: int) -> Statistic | Undefined:
    """Return ECE = sum_b n_b / n |accuracy_b - confidence_b| over bins of equal width, in [0, 1]; 0 is calibrated.

    With few images it is too large on average, so it is shown with the Brier score and not compared between numbers of
    bins. It is undefined without images or without probabilities.

    Source: Guo et al. (2017), arXiv:1706.04599, eq. 3.

    Args:
        confidence: (n,) probability of the predicted class, in (0, 1]; bin b holds ((b - 1) / bins, b / bins].
        right: (n,) whether the prediction was right.
        bins: number of bins.
    """
    probability = np.asarray(confidence, dtype=np.float64)
    missing = _why_missing(probability)
    if missing:
        return missing
    bin_of = np.clip(np.ceil(probability * bins).astype(np.intp) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=right - probability, minlength=bins)
    return mean(np.sign(gaps)[bin_of] * (right - probability))


def mean_score(scores: ArrayLike) -> Statistic | Undefined:
    """Return the mean of a proper score: -log p(target) in nats, in [0, inf), or Brier's, in [0, 2]. Smaller is better.

    Undefined without images or without probabilities (not all are finite then).

    Source: Brier (1950), Monthly Weather Review 78.

    Args:
        scores: (n,) of each image.
    """
    values = np.asarray(scores, dtype=np.float64)
    return _why_missing(values) or mean(values)


def _why_missing(values: NDArray[np.float64]) -> Undefined | None:
    if len(values) == 0:
        return Undefined(reason="there are no images")
    return None if np.isfinite(values).all() else Undefined(reason="the probabilities are not finite")
