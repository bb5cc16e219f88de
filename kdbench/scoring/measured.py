"""From the answers of one run to its accuracies and biases, on the data and on every resample of its test images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import RecordError
from kdbench.records import Predictions, SetPredictions
from kdbench.scoring.answers import Answers
from kdbench.scoring.intervals import Resampler, Stratum, class_sums
from kdbench.scoring.metrics import Floats, bias_ratio, chance_corrected, macro_accuracy
from kdbench.spec import BIAS_AXES, Axis, Track


@dataclass(frozen=True)
class MeasuredAxis:
    """One run on one axis; (1 + S,) each: the data, then the resamples."""

    accuracy: Floats
    bias: Floats
    ratio: Floats
    images: int


@dataclass(frozen=True)
class MeasuredRun:
    """One run on every axis whose sets it answered.

    Attributes:
        clean: (1 + S,) macro accuracy.
        images: of the clean set.
        axes: by axis, where all its primary sets have predictions.
        shape, texture: (1 + S,) shares of the cue-conflict images by either cue; None without that set.
        conflict_images: of the cue-conflict sets.
        missing: primary sets without predictions, by axis.
        answers: by test set.
    """

    clean: Floats
    images: int
    axes: Mapping[Axis, MeasuredAxis]
    shape: Floats | None
    texture: Floats | None
    conflict_images: int
    missing: Mapping[Axis, tuple[str, ...]]
    answers: Mapping[str, Answers]


@dataclass
class _Columns:
    """Numbers an image of one set of strata, collected so that all are summed over the resamples at once."""

    strata: tuple[Stratum, ...]
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)

    def add(self, vector: NDArray[np.generic]) -> int:
        """The place of a vector's sums in `sums`; equal vectors share one."""
        values = vector.astype(np.float32)
        place = self.places.setdefault(values.tobytes(), len(self.vectors))
        if place == len(self.vectors):
            self.vectors.append(values)
        return place

    def sums(self) -> Floats:
        """(V, 1 + S, C)."""
        return class_sums(self.strata, np.stack(self.vectors, axis=1))


@dataclass(frozen=True)
class _Tally:
    """Where the sums of one set lie: its hits (by texture on conflict sets), its images, clean hits on those images."""

    columns: _Columns
    hits: int
    texture_hits: int
    total: int
    clean_hits: int | None
    covered: NDArray[np.bool_] | None
    images: int


def measure(predictions: Predictions, track: Track, resampler: Resampler) -> MeasuredRun:
    """Accuracies and biases of a run on the data and on every resample of its test images.

    A manipulated image counts as often as the clean image that it was made from, so that all sets of all runs are
    paired; a set without such origins is resampled by itself, and compared with clean accuracy on all images.

    Raises:
        RecordError: there is no clean set, a set's `index` or classes do not fit it, or there is no such class.
    """
    for name, one in predictions.items():
        _check_classes(name, one, track.data.num_classes)
    clean_name = track.primary_sets("clean")[0].name
    if clean_name not in predictions:
        raise RecordError(f"there are no answers on the test set {clean_name!r}")
    clean = predictions[clean_name]
    columns = _Columns(resampler.strata(clean_name, clean.target))
    right = clean.label == clean.target
    everything = columns.add(np.ones(len(right))), columns.add(right)
    axes: tuple[Axis, ...] = (*BIAS_AXES, "cue-conflict")
    names = {axis: [test_set.name for test_set in track.primary_sets(axis)] for axis in axes}
    tallies = {
        axis: [_tally(name, predictions[name], clean, columns, resampler, axis) for name in names[axis]]
        for axis in axes
        if names[axis] and all(name in predictions for name in names[axis])
    }
    sums = _Sums()
    whole = macro_accuracy(sums.of(columns)[everything[1]], sums.of(columns)[everything[0]])
    conflict = tallies.pop("cue-conflict", [])
    shares = _conflict_shares(conflict, sums) if conflict else (None, None)
    return MeasuredRun(
        clean=whole,
        images=len(right),
        axes={axis: _axis(sets, sums, whole, track.data.num_classes) for axis, sets in tallies.items()},
        shape=shares[0],
        texture=shares[1],
        conflict_images=_images(conflict),
        missing={axis: tuple(n for n in names[axis] if n not in predictions) for axis in axes if axis not in tallies},
        answers=_answers(predictions, clean_name, resampler),
    )


def _answers(predictions: Predictions, clean_name: str, resampler: Resampler) -> dict[str, Answers]:
    return {
        name: Answers.of(one, resampler.asked(one.target, one.index), clean=name == clean_name)
        for name, one in predictions.items()
    }


@dataclass
class _Sums:
    """The sums of each collection of columns, computed once."""

    done: dict[int, Floats] = field(default_factory=dict)

    def of(self, columns: _Columns) -> Floats:
        if id(columns) not in self.done:
            self.done[id(columns)] = columns.sums()
        return self.done[id(columns)]


def _tally(
    name: str, answers: SetPredictions, clean: SetPredictions, columns: _Columns, resampler: Resampler, axis: Axis
) -> _Tally:
    by_shape, by_texture = answers.label == answers.target, answers.label == answers.texture
    if len(by_shape) == 0:
        raise RecordError(f"the test set {name!r} has no images")
    if (answers.index < 0).any():
        own = _Columns(resampler.strata(name, answers.target))
        hits, texture_hits, total = (own.add(vector) for vector in (by_shape, by_texture, np.ones(len(by_shape))))
        return _Tally(own, hits, texture_hits, total, clean_hits=None, covered=None, images=len(by_shape))
    _check_origins(name, answers, clean, same_class=axis != "cue-conflict")
    origins, size = answers.index, len(clean.target)
    coverage = np.bincount(origins, minlength=size)
    return _Tally(
        columns,
        hits=columns.add(np.bincount(origins[by_shape], minlength=size)),
        texture_hits=columns.add(np.bincount(origins[by_texture], minlength=size)),
        total=columns.add(coverage),
        clean_hits=columns.add(coverage * (clean.label == clean.target)),
        covered=coverage > 0,
        images=0,
    )


def _check_classes(name: str, answers: SetPredictions, num_classes: int) -> None:
    for classes in (answers.target, answers.texture, answers.label):
        if len(classes) and int(classes.max()) >= num_classes:
            raise RecordError(f"the test set {name!r} has the class {classes.max()}, but there are {num_classes}")


def _check_origins(name: str, answers: SetPredictions, clean: SetPredictions, *, same_class: bool) -> None:
    if int(answers.index.max()) >= len(clean.target):
        raise RecordError(
            f"the test set {name!r} refers to clean image {answers.index.max()}, but there are {len(clean.target)}"
        )
    if same_class and (clean.target[answers.index] != answers.target).any():
        raise RecordError(f"the test set {name!r} has other classes than the clean images that it was made from")


def _axis(tallies: Sequence[_Tally], sums: _Sums, whole: Floats, num_classes: int) -> MeasuredAxis:
    accuracies, biases, ratios = [], [], []
    for one in tallies:
        of = sums.of(one.columns)
        accuracy = macro_accuracy(of[one.hits], of[one.total])
        clean = whole if one.clean_hits is None else macro_accuracy(of[one.clean_hits], of[one.total])
        accuracies.append(accuracy)
        biases.append(chance_corrected(accuracy, clean, num_classes))
        ratios.append(bias_ratio(accuracy, clean))
    return MeasuredAxis(_mean(accuracies), _mean(biases), _mean(ratios), _images(tallies))


def _conflict_shares(tallies: Sequence[_Tally], sums: _Sums) -> tuple[Floats, Floats]:
    trials = _total([sums.of(one.columns)[one.total] for one in tallies])
    shape = _total([sums.of(one.columns)[one.hits] for one in tallies])
    texture = _total([sums.of(one.columns)[one.texture_hits] for one in tallies])
    return shape / trials, texture / trials


def _mean(values: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(values, axis=0)
    return mean


def _total(values: Sequence[Floats]) -> Floats:
    total: Floats = sum(value.sum(axis=-1) for value in values) + np.zeros(1)
    return total


def _images(tallies: Sequence[_Tally]) -> int:
    """Images that vary independently: those made from one clean image count once."""
    covered = [one.covered for one in tallies if one.covered is not None]
    return sum(one.images for one in tallies) + (int(np.any(covered, axis=0).sum()) if covered else 0)
