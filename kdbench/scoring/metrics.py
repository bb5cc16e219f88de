"""What is measured of one network: accuracies, chance-corrected bias, the paper's ratio, cue-conflict decisions.

Pure functions of arrays. All of them broadcast, so that one call serves the data and every bootstrap resample of it.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def macro_accuracy(hits: Floats, totals: Floats) -> Floats:
    """Mean over classes of the share of right answers; a class without images is left out.

    Args:
        hits: (..., C) right answers a class, possibly weighted.
        totals: (..., C) images a class, weighted alike.

    Returns:
        (...) in [0, 1]; NaN where no class has an image.
    """
    present = totals > 0
    shares = np.divide(hits, totals, out=np.zeros(np.broadcast(hits, totals).shape), where=present)
    return _divided(shares.sum(axis=-1), np.broadcast_to(present, shares.shape).sum(axis=-1))


def chance_corrected(accuracy: Floats, clean: Floats, num_classes: int) -> Floats:
    """Bias c = (a - 1/C) / (a_0 - 1/C): 0 at chance, 1 where the manipulation costs nothing; not clipped.

    Args:
        accuracy: (...) macro accuracy on a manipulated set.
        clean: (...) macro accuracy of the same network on the same images, unmanipulated.
        num_classes: C.

    Returns:
        (...); NaN where clean accuracy is exactly chance.
    """
    return _divided(accuracy - 1 / num_classes, clean - 1 / num_classes)


def bias_ratio(accuracy: Floats, clean: Floats) -> Floats:
    """The paper's a / a_0, kept for comparison only: it tends to 1 for a network at chance. NaN where a_0 is 0."""
    return _divided(accuracy, clean)


def shape_bias(shape: Floats, texture: Floats) -> Floats:
    """Share of decisions by shape among those by shape or texture; NaN where there are none.

    Args:
        shape: (...) share of cue-conflict images that got the shape's class.
        texture: (...) share that got the texture's class.
    """
    return _divided(shape, shape + texture)


def _divided(numerator: Floats, denominator: Floats | NDArray[np.int64]) -> Floats:
    shape = np.broadcast(numerator, denominator).shape
    quotient: Floats = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator != 0)
    return quotient
