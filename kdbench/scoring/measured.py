"""Computes the accuracies and biases of a run from its answers, for the data and every resample of its test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import RecordError
from kdbench.records import Predictions, SetPredictions
from kdbench.scoring.answers import Answers
from kdbench.scoring.metrics import FloatArray, bias_ratio, chance_corrected, macro_accuracy
from kdbench.scoring.resampling import Resampler, Stratum, class_sums
from kdbench.spec import BIAS_AXES, Axis, Track

MEASURED_AXES: tuple[Axis, ...] = (*BIAS_AXES, "cue-conflict")


@dataclass(frozen=True)
class MeasuredAxis:
    """One run on one axis; (1 + S,) each: the data, then the resamples."""

    accuracy: FloatArray
    bias: FloatArray
    ratio: FloatArray
    images: int


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """One run on every axis for whose sets it has answers.

    Attributes:
        clean: (1 + S,) macro accuracy.
        images: of the clean set.
        axes: by axis, if all of its primary sets have predictions.
        shape, texture: (1 + S,) shares of the cue-conflict images by either cue; None without that set.
        conflict_images: of the cue-conflict sets.
        missing: primary sets without predictions, by axis.
        answers: by test set.
    """

    clean: FloatArray
    images: int
    axes: Mapping[Axis, MeasuredAxis]
    shape: FloatArray | None
    texture: FloatArray | None
    conflict_images: int
    missing: Mapping[Axis, tuple[str, ...]]
    answers: Mapping[str, Answers]


@dataclass
class _Columns:
    """Numbers per image of one set of strata, which are collected first and then summed over the resamples at once."""

    strata: tuple[Stratum, ...]
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)

    def add(self, vector: NDArray[np.generic]) -> int:
        """Return the place of a vector's sums in `sums`; equal vectors share one."""
        values = vector.astype(np.float32)
        place = self.places.setdefault(values.tobytes(), len(self.vectors))
        if place == len(self.vectors):
            self.vectors.append(values)
        return place

    def sums(self) -> FloatArray:
        """(V, 1 + S, C)."""
        return class_sums(self.strata, np.stack(self.vectors, axis=1))


@dataclass(frozen=True)
class _SetSums:
    """The sums of one test set over the images of each class: (1 + S, C) each.

    Attributes:
        hits: right answers; on cue-conflict sets, answers by shape.
        texture_hits: answers by texture.
        totals: images.
        clean_hits: right answers on the clean images that the set was made from; None for a set without origins, and
            for one that was made from every clean image once.
        covered: (N,) which clean images the set was made from; None for a set without origins.
        images: of a set without origins, else 0.
    """

    hits: FloatArray
    texture_hits: FloatArray
    totals: FloatArray
    clean_hits: FloatArray | None
    covered: NDArray[np.bool_] | None
    images: int


@dataclass(frozen=True)
class _SetPlaces:
    """The places of one test set's sums: the fields of `_SetSums` as indices of columns.

    Attributes:
        own: the columns of a set without origins; None for a set whose numbers are among the clean set's columns.
    """

    own: _Columns | None
    hits: int
    texture_hits: int
    totals: int
    clean_hits: int | None
    covered: NDArray[np.bool_] | None
    images: int

    def sums(self, of_clean: FloatArray) -> _SetSums:
        """Return the sums, given those of the clean set's columns, (V, 1 + S, C)."""
        sums = of_clean if self.own is None else self.own.sums()
        clean_hits = None if self.clean_hits is None else sums[self.clean_hits]
        return _SetSums(
            sums[self.hits], sums[self.texture_hits], sums[self.totals], clean_hits, self.covered, self.images
        )


def measure(predictions: Predictions, track: Track, resampler: Resampler) -> MeasuredRun:
    """Return the accuracies and biases of a run on the data and on every resample of its test images.

    A manipulated image counts as often as the clean image that it was made from, so that all sets of all runs are
    paired; a set without such origins is resampled by itself, and compared with clean accuracy on all images.

    Raises:
        RecordError: there is no clean set, or the `index` or the classes of a set do not fit.
    """
    for name, answers in predictions.items():
        _check_classes(name, answers, track.data.num_classes)
    clean_name = track.primary_sets("clean")[0].name
    if clean_name not in predictions:
        raise RecordError(f"there are no answers on the test set {clean_name!r}")
    names = {axis: [test_set.name for test_set in track.primary_sets(axis)] for axis in MEASURED_AXES}
    whole, sums = _clean_and_axes(predictions, clean_name, names, resampler)
    conflict = sums.pop("cue-conflict", [])
    shape, texture = _conflict_shares(conflict) if conflict else (None, None)
    measured = {axis: _axis(sets, whole, track.data.num_classes) for axis, sets in sums.items()}
    return MeasuredRun(
        clean=whole,
        images=len(predictions[clean_name].target),
        axes=measured,
        shape=shape,
        texture=texture,
        conflict_images=_images(conflict),
        missing={
            axis: tuple(name for name in names[axis] if name not in predictions)
            for axis in MEASURED_AXES
            if axis not in measured
        },
        answers=_answers(predictions, clean_name, resampler),
    )


def _clean_and_axes(
    predictions: Predictions, clean_name: str, names: Mapping[Axis, Sequence[str]], resampler: Resampler
) -> tuple[FloatArray, dict[Axis, list[_SetSums]]]:
    """Return (1 + S,) clean accuracy, and by axis the sums of its sets where all of them were answered.

    Two passes: the columns of all sets are collected first, then summed in one product.
    """
    clean = predictions[clean_name]
    columns = _Columns(resampler.strata(clean_name, clean.target))
    right = clean.label == clean.target
    totals, hits = columns.add(np.ones(len(right))), columns.add(right)
    places = {
        axis: [_places(name, predictions[name], clean, columns, resampler, axis) for name in in_axis]
        for axis, in_axis in names.items()
        if in_axis and all(name in predictions for name in in_axis)
    }
    of_clean = columns.sums()
    whole = macro_accuracy(of_clean[hits], of_clean[totals])
    return whole, {axis: [place.sums(of_clean) for place in in_axis] for axis, in_axis in places.items()}


def _answers(predictions: Predictions, clean_name: str, resampler: Resampler) -> dict[str, Answers]:
    return {
        name: Answers.of(answers, resampler.test_images(answers.target, answers.index), clean=name == clean_name)
        for name, answers in predictions.items()
    }


def _places(
    name: str, answers: SetPredictions, clean: SetPredictions, columns: _Columns, resampler: Resampler, axis: Axis
) -> _SetPlaces:
    """Add the numbers of one test set to the clean set's columns, or to columns of its own if it has no origins."""
    by_shape, by_texture = answers.label == answers.target, answers.label == answers.texture
    if len(by_shape) == 0:
        raise RecordError(f"the test set {name!r} has no images")
    if (answers.index < 0).any():
        own = _Columns(resampler.strata(name, answers.target))
        hits, texture_hits, totals = (own.add(vector) for vector in (by_shape, by_texture, np.ones(len(by_shape))))
        return _SetPlaces(own, hits, texture_hits, totals, clean_hits=None, covered=None, images=len(by_shape))
    _check_origins(name, answers, clean, same_class=axis != "cue-conflict")
    origins, size = answers.index, len(clean.target)
    coverage = np.bincount(origins, minlength=size)
    of_part = bool((coverage != 1).any())
    return _SetPlaces(
        None,
        hits=columns.add(np.bincount(origins[by_shape], minlength=size)),
        texture_hits=columns.add(np.bincount(origins[by_texture], minlength=size)),
        totals=columns.add(coverage),
        clean_hits=columns.add(coverage * (clean.label == clean.target)) if of_part else None,
        covered=coverage > 0,
        images=0,
    )


def _check_classes(name: str, answers: SetPredictions, num_classes: int) -> None:
    for classes in (answers.target, answers.texture, answers.label):
        if len(classes) and int(classes.max()) >= num_classes:
            raise RecordError(
                f"the test set {name!r} has the class {classes.max()}, but there are only {num_classes} classes"
            )


def _check_origins(name: str, answers: SetPredictions, clean: SetPredictions, *, same_class: bool) -> None:
    if int(answers.index.max()) >= len(clean.target):
        raise RecordError(
            f"the test set {name!r} refers to clean image {answers.index.max()}, but there are {len(clean.target)}"
        )
    if same_class and (clean.target[answers.index] != answers.target).any():
        raise RecordError(f"the test set {name!r} has other classes than the clean images that it was made from")


def _axis(sets: Sequence[_SetSums], whole: FloatArray, num_classes: int) -> MeasuredAxis:
    """Return the mean over the sets of an axis, given (1 + S,) accuracy on all clean images."""
    accuracies, biases, ratios = [], [], []
    for sums in sets:
        accuracy = macro_accuracy(sums.hits, sums.totals)
        clean = whole if sums.clean_hits is None else macro_accuracy(sums.clean_hits, sums.totals)
        accuracies.append(accuracy)
        biases.append(chance_corrected(accuracy, clean, num_classes))
        ratios.append(bias_ratio(accuracy, clean))
    return MeasuredAxis(_mean(accuracies), _mean(biases), _mean(ratios), _images(sets))


def _conflict_shares(sets: Sequence[_SetSums]) -> tuple[FloatArray, FloatArray]:
    """Return (1 + S,) shares of the cue-conflict images that got the shape's and the texture's class."""
    trials = _total([sums.totals for sums in sets])
    shape = _total([sums.hits for sums in sets])
    texture = _total([sums.texture_hits for sums in sets])
    return shape / trials, texture / trials


def _mean(values: Sequence[FloatArray]) -> FloatArray:
    mean: FloatArray = np.mean(values, axis=0)
    return mean


def _total(values: Sequence[FloatArray]) -> FloatArray:
    total: FloatArray = sum(value.sum(axis=-1) for value in values) + np.zeros(1)
    return total


def _images(sets: Sequence[_SetSums]) -> int:
    """Return the number of images that vary independently: those from the same clean image count once."""
    covered = [sums.covered for sums in sets if sums.covered is not None]
    return sum(sums.images for sums in sets) + (int(np.any(covered, axis=0).sum()) if covered else 0)
