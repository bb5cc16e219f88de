"""Answers of one run on the synthetic track, with known shares of right ones."""

import numpy as np
from numpy.typing import NDArray

from kdbench.records import Predictions, SetPredictions
from kdbench.testsets.spec import load_spec

TRACK = load_spec().tracks["synthetic"]
IMAGES = 200


Labels = NDArray[np.int64]


TARGET: Labels = np.arange(IMAGES) % 10


def answers(
    right: NDArray[np.bool_], *, target: Labels = TARGET, index: Labels | None = None, texture: Labels | None = None
) -> SetPredictions:
    """Answers that are the target where `right`, else the texture's class, or just another one."""
    other = (target + 1) % 10 if texture is None else texture
    index = np.arange(len(target)) if index is None else index
    ones = np.ones(len(target), np.float32)
    label = np.where(right, target, other)
    small = [classes.astype(np.int16) for classes in (target, target if texture is None else texture, label)]
    return SetPredictions(index.astype(np.int32), small[0], small[1], small[2], ones, ones, ones, ones)


def first(share: float, count: int = IMAGES) -> NDArray[np.bool_]:
    """The first `share` of the images; the same share of every class if it is a multiple of 10 / count."""
    return np.arange(count) < round(share * count)


def a_run(**shares: float) -> Predictions:
    """All sets of the synthetic track: clean .9 right, the others .5, or as given ('_' for '-')."""
    named = {name.replace("_", "-"): share for name, share in shares.items()}
    sets = {test_set.name: test_set.axis for test_set in TRACK.test_sets}
    sets_answered = {name: answers(first(named.get(name, 0.9 if name == "clean" else 0.5))) for name in sets}
    texture = (TARGET + 1) % 10
    return sets_answered | {
        "cue-conflict": answers(first(named.get("cue-conflict", 0.6)), texture=texture, index=0 * TARGET - 1)
    }
