"""Interpolates the snapshots of a network to a given clean accuracy, for the accuracy-matched control."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.special import ndtr, ndtri

from kdbench.scoring.estimates import Undefined
from kdbench.scoring.measured import MeasuredRun
from kdbench.scoring.metrics import FloatArray
from kdbench.spec import Axis, Scoring


def at_accuracy(
    snapshots: Sequence[MeasuredRun], clean: float, num_classes: int, scoring: Scoring
) -> MeasuredRun | Undefined:
    """Return the profile of a network at a clean accuracy, interpolated between snapshots on the probit scale.

    Accuracies on shifted data are linear in clean accuracy if both are on that scale: Miller et al. (2021),
    arXiv:2107.04649.

    Args:
        snapshots: of one training, in order.
        clean: the requested accuracy. The last two consecutive snapshots that enclose it are used.
        num_classes: C.
        scoring: competence, below which the bias of a snapshot means nothing.
    """
    floor = 1 / num_classes + scoring.competence_margin
    competent = [snapshot for snapshot in snapshots if float(snapshot.clean[0]) >= floor]
    for before, after in reversed(list(pairwise(competent))):
        first, last = float(before.clean[0]), float(after.clean[0])
        if min(first, last) <= clean <= max(first, last) and first != last:
            return _between(before, after, _probit_share(first, clean, last), 1 / num_classes)
    accuracies = [float(snapshot.clean[0]) for snapshot in competent]
    reach = f"they reach from {min(accuracies):.3f} to {max(accuracies):.3f}" if accuracies else "none is competent"
    return Undefined(reason=f"no snapshot of the independent student matches the clean accuracy {clean:.3f}; {reach}")


def _probit_share(first: float, between: float, last: float) -> float:
    """Return how far the middle accuracy is from the first to the last on the probit scale, from 0 to 1."""
    low, middle, high = ndtri(np.clip([first, between, last], 1e-6, 1 - 1e-6))
    return float((middle - low) / (high - low))


def _between(before: MeasuredRun, after: MeasuredRun, share: float, chance: float) -> MeasuredRun:
    """Return the profile `share` of the way from one snapshot to the other, every accuracy on the probit scale.

    The accuracy on an axis follows from its c and the clean accuracy. All other fields are those of the later snapshot.
    """

    def interpolate(first: FloatArray, last: FloatArray) -> FloatArray:
        low, high = (ndtri(np.clip(accuracy, 1e-6, 1 - 1e-6)) for accuracy in (first, last))
        accuracy: FloatArray = ndtr(low + share * (high - low))
        return accuracy

    def accuracy_on(run: MeasuredRun, axis: Axis) -> FloatArray:
        return chance + run.axes[axis].bias * (run.clean - chance)

    clean = interpolate(before.clean, after.clean)
    axes = {
        axis: replace(
            measured,
            bias=(interpolate(accuracy_on(before, axis), accuracy_on(after, axis)) - chance) / (clean - chance),
        )
        for axis, measured in after.axes.items()
        if axis in before.axes
    }
    return replace(after, axes=axes, clean=clean)
