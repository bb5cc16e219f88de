"""The similarity of the answers of two networks, image by image: error consistency, fidelity, permutation consistency.

All are diagnostics and never ranked. Two networks that learned the same task are similar without any distillation, so a
student's similarity to its teacher is meaningful only relative to that of the independent student.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdbench.scoring.estimates import Undefined
from kdbench.scoring.statistic import Statistic, mean

ClassLabels = NDArray[np.integer]


@dataclass(frozen=True)
class ErrorConsistency:
    """Whether two networks err on the same images.

    Attributes:
        kappa: agreement on right or wrong beyond what both accuracies give by chance.
        ceiling: the largest kappa that two networks of these accuracies can have.
    """

    kappa: Statistic
    ceiling: Statistic

    @property
    def relative(self) -> Statistic | Undefined:
        """The ratio of kappa to its ceiling, at most 1."""
        if self.ceiling.value <= 0:
            return Undefined(reason="the accuracies differ so much that agreement beyond chance is impossible")
        return self.kappa / self.ceiling


def error_consistency(
    right_a: NDArray[np.bool_], right_b: NDArray[np.bool_], least_errors: int
) -> ErrorConsistency | Undefined:
    """Return Cohen's kappa of being right, in [-1, 1]: 0 for networks that err independently, 1 for the same errors.

    kappa = (p_o - p_e) / (1 - p_e) with p_o the share of images that both get right or both wrong and
    p_e = p_a p_b + (1 - p_a)(1 - p_b). The ceiling is (1 - |p_a - p_b| - p_e) / (1 - p_e).

    Undefined with fewer than `least_errors` errors of either network, of which kappa says nothing, and where p_e = 1
    (both are always wrong).

    Source: Geirhos, Meding & Wichmann (2020), arXiv:2006.16736, eqs. 1 to 4.

    Args:
        right_a, right_b: (n,) whether each network got each image right.
        least_errors: number of errors that either network must make.
    """
    errors = min(int((~right_a).sum()), int((~right_b).sum()))
    if errors < least_errors:
        return Undefined(reason=f"one network makes only {errors} errors; at least {least_errors} are needed")
    p_a, p_b = mean(right_a), mean(right_b)
    expected = p_a * p_b + (1.0 - p_a) * (1.0 - p_b)
    if expected.value >= 1:
        return Undefined(reason="both networks are always wrong")
    kappa = _beyond_chance(mean(right_a == right_b), expected)
    return ErrorConsistency(kappa, _beyond_chance(1.0 - abs(p_a - p_b), expected))


def wrong_label_agreement(
    label_a: ClassLabels, label_b: ClassLabels, target: ClassLabels, least: int
) -> Statistic | Undefined:
    """Return the share of equal answers among images that both networks get wrong, in [0, 1].

    It is about 1 / (C - 1) by chance, and undefined with fewer than `least` such images.

    Args:
        label_a, label_b: (n,) predicted classes.
        target: (n,) right classes.
        least: number of images that both must get wrong.
    """
    both_wrong = (label_a != target) & (label_b != target)
    count = int(both_wrong.sum())
    if count < least:
        return Undefined(reason=f"both networks get only {count} of the same images wrong; at least {least} are needed")
    return mean(both_wrong & (label_a == label_b)) / mean(both_wrong)


def agreement(label_a: ClassLabels, label_b: ClassLabels) -> Statistic | Undefined:
    """Return the share of images that get the same answer from both networks, right or wrong, in [0, 1].

    With the answers on permuted images as the second, this is permutation consistency. Undefined without images.

    Source: Stanton et al. (2021), arXiv:2106.05945, section 3 ("top-1 agreement").
    """
    return mean(label_a == label_b) if len(label_a) else Undefined(reason="there are no images")


def label_kappa(label_a: ClassLabels, label_b: ClassLabels, num_classes: int) -> Statistic | Undefined:
    """Return Cohen's kappa of the answers, in [-1, 1]: agreement beyond p_e = sum_k q_a(k) q_b(k), q class shares.

    With the answers on permuted images as the second, this is the kappa of permutation consistency.

    Undefined without images, and where p_e = 1: both networks give one and the same answer to every image.

    Source: Cohen (1960), Educational and Psychological Measurement 20, eq. 1.

    Args:
        label_a, label_b: (n,) predicted classes, below `num_classes`.
        num_classes: C.
    """
    if len(label_a) == 0:
        return Undefined(reason="there are no images")
    expected = _chance_agreement(label_a, label_b, num_classes)
    if expected.value >= 1:
        return Undefined(reason="both networks give one and the same answer to every image")
    return _beyond_chance(mean(label_a == label_b), expected)


def divergence(kl: ArrayLike) -> Statistic | Undefined:
    """Return the mean KL(teacher || student) at temperature 1, in nats, in [0, inf).

    Undefined without images, and without a teacher (its values are not finite then).

    Source: Stanton et al. (2021), arXiv:2106.05945, section 3.

    Args:
        kl: (n,) of each image.
    """
    values = np.asarray(kl, dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        return Undefined(reason="there is no teacher to diverge from" if len(values) else "there are no images")
    return mean(values)


def prediction_entropy(label: ClassLabels, num_classes: int) -> float | Undefined:
    """Return the entropy of the predicted classes' shares divided by log C, in [0, 1].

    It is 1 where all classes are predicted equally often, and 0 where one class is always predicted.

    Undefined without images.

    Args:
        label: (n,) predicted classes, below `num_classes`.
        num_classes: C, at least 2.
    """
    if len(label) == 0:
        return Undefined(reason="there are no images")
    shares = np.bincount(label, minlength=num_classes) / len(label)
    present = shares[shares > 0]
    return abs(float(-(present * np.log(present)).sum() / np.log(num_classes)))


def _chance_agreement(label_a: ClassLabels, label_b: ClassLabels, num_classes: int) -> Statistic:
    """Return sum_k q_a(k) q_b(k), with the effect of each image by the product rule."""
    images = len(label_a)
    q_a, q_b = (np.bincount(label, minlength=num_classes) / images for label in (label_a, label_b))
    expected = float(q_a @ q_b)
    return Statistic(expected, (q_b[label_a] + q_a[label_b] - 2 * expected) / images)


def _beyond_chance(observed: Statistic, expected: Statistic) -> Statistic:
    return (observed - expected) / (1.0 - expected)
