"""Dose-response: whether students follow the size of the difference between their teachers, pair by pair.

A seed s with teachers' difference b and students' difference a is a point: x = |b| and y = a . b / |b|, the parts of
both differences along b. The line through 0 that fits the points by least squares has transfer as its slope. A method
that only reads which of two teachers it has responds to all pairs alike, whatever their difference, and leaves large
residuals.

How large residuals may be is measured on independent students. The two students of a seed share training images and
initial weights; independent students of different seeds share nothing, so the difference between two of them varies at
least as much as the noise of y. The ratio

    F = [sum_s residual^2 / (K - 1)] / [2 Var_k(c(i_k) . u) + image variance of a residual]

has K independent students' profiles c(i) in the denominator, on the mean direction u of the teachers' difference. If
transfer is proportional and noise is normal, F exceeds the quantile of Fisher's F with K - 1 and K_i - 1 degrees of
freedom in at most 1 minus the confidence of the rows, and in fewer the more the students of a seed share.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import fdtrc

from kdbench.scoring.estimates import Undefined
from kdbench.scoring.gap import needs_seeds
from kdbench.scoring.intervals import DIGITS
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.scores import DosePoint, DoseResponse
from kdbench.scoring.transfer import Contrast, transfer_number
from kdbench.spec import Scoring


def dose_response(
    contrast: Contrast, seeds: Sequence[int], independents: FloatArray, scoring: Scoring
) -> DoseResponse | Undefined:
    """Return the points, their line and the test of proportionality.

    Args:
        contrast: of students and teachers whose transfer is defined.
        seeds: (K,) of the contrast.
        independents: (K_i, axes) profiles of independent students, one per seed.
        scoring: confidence and the number of seeds.

    Returns:
        Undefined with fewer than `interval_seeds` seeds of the row or of independent students.
    """
    fewest = min(len(seeds), len(independents))
    if fewest < scoring.interval_seeds:
        return Undefined(reason=needs_seeds(fewest, scoring))
    products = contrast.products()
    slope = transfer_number(products)
    teachers, students = _coordinates(products)
    residuals = students - slope * teachers
    spread = float(np.sqrt((residuals[:, 0] ** 2).sum() / (len(seeds) - 1)))
    noise = _noise(contrast, independents, residuals)
    ratio = (spread / noise) ** 2 if noise > 0 else np.inf
    p_value = float(fdtrc(len(seeds) - 1, len(independents) - 1, ratio))
    return DoseResponse(
        points=tuple(
            DosePoint(seed=seed, teachers=round(float(x), DIGITS), students=round(float(y), DIGITS))
            for seed, x, y in zip(seeds, teachers[:, 0], students[:, 0], strict=True)
        ),
        slope=round(float(slope[0]), DIGITS),
        residual_spread=round(spread, DIGITS),
        seed_spread=round(noise, DIGITS),
        p_value=round(p_value, DIGITS),
        proportional=p_value > 1 - scoring.confidence,
    )


def _coordinates(products: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (K, 1 + S) x and y of the points, from products per seed; both are 0 where the teachers do not differ."""
    along, squared = products[:, 0], products[:, 1]
    length = np.sqrt(np.maximum(squared, 0.0))
    return length, np.divide(along, length, out=np.zeros_like(along), where=length > 0)


def _noise(contrast: Contrast, independents: FloatArray, residuals: FloatArray) -> float:
    """Return the standard deviation that residuals may have without a departure from the line."""
    mean = contrast.teachers[..., 0].mean(axis=0)
    between = 2 * float((independents @ (mean / np.linalg.norm(mean))).var(ddof=1))
    over_images = float(residuals[:, 1:].var(axis=1, ddof=1).mean())
    return float(np.sqrt(between + over_images))
