"""Numbers of one network: accuracy, chance-corrected bias, the paper's ratio, cue-conflict decisions.

These are pure functions of arrays. All of them broadcast, so that one call computes a number for the data and for every
bootstrap resample of it.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def macro_accuracy(hits: FloatArray, totals: FloatArray) -> FloatArray:
    """Return the mean over classes of the share of right answers; a class without images is left out.

    Args:
        hits: (..., C) right answers per class, possibly weighted.
        totals: (..., C) images per class, weighted alike.

    Returns:
        (...) in [0, 1]; NaN where no class has an image.
    """
    present = totals > 0
    if present.all():
        accuracy: FloatArray = (hits / totals).sum(axis=-1) / totals.shape[-1]
        return accuracy
    shares = np.divide(hits, totals, out=np.zeros(np.broadcast(hits, totals).shape), where=present)
    return _divided(shares.sum(axis=-1), np.broadcast_to(present, shares.shape).sum(axis=-1))


def chance_corrected(accuracy: FloatArray, clean: FloatArray, num_classes: int) -> FloatArray:
    """Return the bias c = (a - 1/C) / (a_0 - 1/C): 0 at chance, 1 where the manipulation costs nothing; not clipped.

    Args:
        accuracy: (...) macro accuracy on a manipulated set.
        clean: (...) macro accuracy of the same network on the same images, unmanipulated.
        num_classes: C.

    Returns:
        (...); NaN where clean accuracy is exactly chance.
    """
    return _divided(accuracy - 1 / num_classes, clean - 1 / num_classes)


def bias_ratio(accuracy: FloatArray, clean: FloatArray) -> FloatArray:
    """Return the paper's a / a_0, kept for comparison only: it tends to 1 at chance. NaN where a_0 is 0."""
    return _divided(accuracy, clean)


def shape_bias(shape: FloatArray, texture: FloatArray) -> FloatArray:
    """Return the share of decisions by shape among those by shape or texture; NaN where there are none.

    Args:
        shape: (...) share of cue-conflict images that got the shape's class.
        texture: (...) share that got the texture's class.
    """
    return _divided(shape, shape + texture)


def _divided(numerator: FloatArray, denominator: FloatArray | NDArray[np.int64]) -> FloatArray:
    shape = np.broadcast(numerator, denominator).shape
    quotient: FloatArray = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator != 0)
    return quotient
