"""Which classes are taken for which: the answers of a method's students on every test set, as small pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench.leaderboard import wording
from kdbench.leaderboard.provenance import RecordKey
from kdbench.leaderboard.rows import ArmLine, RowView
from kdbench.records import Predictions

Counts = Mapping[str, NDArray[np.int64]]
"""By test set, (C, C) numbers of images: row the correct class, column the answer."""

LEVELS = 6
_MOST_MISTAKES = 3  # that are named in words


@dataclass(frozen=True)
class ConfusionMatrix:
    """The answers of one arm on one test set, over all its seeds.

    Attributes:
        classes: C, the width of the picture.
        paths: one for each strength of colour from 1 to `LEVELS`, as SVG draws it; a cell is a square of width 1.
        images: number of answers.
        accuracy: the mean share of correct answers over the classes.
        mistakes: the most frequent confusions, in words; empty without any.
    """

    test_set: str
    classes: int
    paths: tuple[str, ...]
    images: int
    accuracy: float
    mistakes: str


@dataclass(frozen=True)
class ArmConfusions:
    """The matrices of one arm of a row, by test set."""

    row: RowView
    line: ArmLine
    runs: int
    matrices: tuple[ConfusionMatrix, ...]


def confusion_counts(predictions: Predictions, classes: int) -> Counts:
    """Count the answers on each test set.

    Args:
        predictions: of one network.
        classes: C; an answer or a target outside of it is not counted.
    """
    return {name: _counted(answers.target, answers.label, classes) for name, answers in sorted(predictions.items())}


def _counted(target: NDArray[np.int16], label: NDArray[np.int16], classes: int) -> NDArray[np.int64]:
    inside = (target >= 0) & (target < classes) & (label >= 0) & (label < classes)
    cells = target[inside].astype(np.int64) * classes + label[inside]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def arm_confusions(
    row: RowView, testsets: str, counts: Mapping[RecordKey, Counts], names: Mapping[str, str]
) -> Iterator[ArmConfusions]:
    """Yield the matrices of each arm of a row whose answers are known.

    Args:
        row: of a board.
        testsets: digest of the board's test sets.
        counts: by record.
        names: of the test sets for people, in order.
    """
    for line in row.lines:
        known = [counts[run, testsets] for run in line.arm.run_ids if (run, testsets) in counts]
        sets = {name for by_set in known for name in by_set}
        ordered = [name for name in names if name in sets] + sorted(sets - set(names))
        summed = ((name, sum(by_set[name] for by_set in known if name in by_set)) for name in ordered)
        matrices = tuple(_matrix(names.get(name, name), np.asarray(total)) for name, total in summed)
        if matrices:
            yield ArmConfusions(row, line, len(known), matrices)


def _matrix(test_set: str, counts: NDArray[np.int64]) -> ConfusionMatrix:
    totals = counts.sum(axis=1)
    shares = counts[totals > 0] / totals[totals > 0, None]
    rows = np.flatnonzero(totals)
    whole = np.zeros(counts.shape)
    whole[rows] = shares
    return ConfusionMatrix(
        test_set=test_set,
        classes=len(counts),
        paths=tuple(_path(np.ceil(whole * LEVELS) == level) for level in range(1, LEVELS + 1)),
        images=int(totals.sum()),
        accuracy=float(whole.diagonal()[rows].mean()) if len(rows) else 0.0,
        mistakes=_mistakes(whole),
    )


def _path(cells: NDArray[np.bool_]) -> str:
    """Return squares in the form of SVG paths, with neighbours in a row as one rectangle."""
    drawn = []
    for y, line in enumerate(cells):
        edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0))
        drawn += [f"M{start} {y}h{end - start}v1h{start - end}z" for start, end in edges.reshape(-1, 2).tolist()]
    return "".join(drawn)


def _mistakes(shares: NDArray[np.float64]) -> str:
    wrong = shares.copy()
    np.fill_diagonal(wrong, 0)
    flat = wrong.ravel()
    largest: Sequence[int] = np.argsort(-flat, kind="stable")[:_MOST_MISTAKES].tolist()
    classes = len(shares)
    return ", ".join(
        f"{cell // classes}→{cell % classes} {wording.number(100 * flat[cell], 0)} %"
        for cell in largest
        if flat[cell] >= 0.005
    )
