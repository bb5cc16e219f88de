"""Computes the profile of an arm from measured runs: numbers with intervals, undefined where they are meaningless."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from kdbench.scoring.arms import AxisScore, ConflictScore, Profile
from kdbench.scoring.estimates import Estimate, Score, Undefined
from kdbench.scoring.intervals import estimate
from kdbench.scoring.measured import MeasuredAxis, MeasuredRun
from kdbench.scoring.metrics import FloatArray, shape_bias
from kdbench.spec import BIAS_AXES, Axis, Scoring

_ROUNDING: Final = 1e-5  # more than the rounding of an estimate


def profile_of(runs: Mapping[int, MeasuredRun], num_classes: int, scoring: Scoring) -> Profile:
    """Return the mean profile of an arm over its seeds, with intervals.

    Args:
        runs: by seed, at least one run.
        num_classes: C.
        scoring: confidence and thresholds.
    """
    measured = list(runs.values())
    low = near_chance(runs, num_classes, scoring)
    axes: dict[Axis, AxisScore] = {axis: _axis_score(measured, axis, low, scoring) for axis in BIAS_AXES}
    return Profile(
        clean=estimate(np.stack([run.clean for run in measured]), measured[0].images, scoring, share=True),
        axes=axes,
        conflict=_conflict_score(measured, scoring),
    )


def near_chance(runs: Mapping[int, MeasuredRun], num_classes: int, scoring: Scoring) -> Undefined | None:
    """Return why a chance-corrected bias of these runs is meaningless; None if it is not.

    Each run's clean accuracy must be above chance by `competence_margin`, at the lower end of its interval over images.
    """
    floor = 1 / num_classes + scoring.competence_margin
    for seed, run in runs.items():
        if floor + _ROUNDING < run.clean.min() and run.clean[0] < 1:
            continue  # every resample is above the floor, and so is the interval
        clean = estimate(run.clean[None], run.images, scoring, share=True)
        if clean.low - 1 / num_classes < scoring.competence_margin:
            of_seed = f" of seed {seed}" if len(runs) > 1 else ""
            return Undefined(
                reason=f"too near chance: the clean accuracy{of_seed} is {clean.value:.3f} with a lower bound of "
                f"{clean.low:.3f}; the lower bound must be at least {floor:.2f}"
            )
    return None


def _axis_score(runs: Sequence[MeasuredRun], axis: Axis, low: Undefined | None, scoring: Scoring) -> AxisScore:
    missing = _why_missing(runs, axis)
    if missing:
        return AxisScore(accuracy=missing, bias=missing, ratio=missing)
    measured = [run.axes[axis] for run in runs]

    def over_seeds(pick: Callable[[MeasuredAxis], FloatArray], *, share: bool = False) -> Score:
        samples = np.stack([pick(axis_of_run) for axis_of_run in measured])
        if not np.isfinite(samples).all():
            return Undefined(reason="clean accuracy is 0, or so near to 0 that it is 0 in some resamples")
        return estimate(samples, measured[0].images, scoring, share=share)

    return AxisScore(
        accuracy=over_seeds(lambda run: run.accuracy, share=True),
        bias=low or over_seeds(lambda run: run.bias),
        ratio=over_seeds(lambda run: run.ratio),
    )


def _why_missing(runs: Sequence[MeasuredRun], axis: Axis) -> Undefined | None:
    names = sorted({name for run in runs for name in run.missing.get(axis, ())})
    if names:
        return Undefined(reason=f"there are no answers on {', '.join(names)}")
    return None if all(axis in run.axes for run in runs) else Undefined(reason="there is no test set of this axis")


def _conflict_score(runs: Sequence[MeasuredRun], scoring: Scoring) -> ConflictScore | None:
    shapes = [run.shape for run in runs if run.shape is not None]
    textures = [run.texture for run in runs if run.texture is not None]
    if len(shapes) < len(runs):
        return None
    images = runs[0].conflict_images
    shape, texture = np.stack(shapes), np.stack(textures)
    return ConflictScore(
        shape=estimate(shape, images, scoring, share=True),
        texture=estimate(texture, images, scoring, share=True),
        shape_bias=_shape_bias(shape, texture, images, scoring),
    )


def conflict_swing(run: MeasuredRun, scoring: Scoring) -> Score:
    """Return the share of cue-conflict images that get the shape's class minus that of the texture's, from -1 to 1."""
    if run.shape is None or run.texture is None:
        return Undefined(reason="there are no cue-conflict images")
    return estimate((run.shape - run.texture)[None], run.conflict_images, scoring)


def _shape_bias(shape: FloatArray, texture: FloatArray, images: int, scoring: Scoring) -> Score:
    if images < scoring.conflict_images:
        return Undefined(
            reason=f"there are {images} cue-conflict images, but at least {scoring.conflict_images} are needed"
        )
    decided: list[Estimate] = [estimate(run[None], images, scoring, share=True) for run in shape + texture]
    least = min(decided, key=lambda share: share.low)
    if least.low <= scoring.conflict_decided:
        return Undefined(
            reason="the share of cue-conflict images that got the class of the "
            f"shape or of the texture is only {least.value:.3f} (lower bound {least.low:.3f}); the lower bound must be "
            f"above {scoring.conflict_decided:.2f}"
        )
    return estimate(shape_bias(shape, texture), images, scoring, share=True)
