"""Draws the blobs of the `texture` set, for `tables.py`: outlines that look like no class of shape.

A candidate is a connected region of thresholded smooth noise with the area of the shapes. The *shape oracle* is the
largest overlap (intersection divided by union) of the candidate with the mask of any class, at every turn in steps of
10 degrees and every shift by up to 2 pixels. A candidate is rejected if it overlaps a class by more than
`MOST_OVERLAP`, or if its nearest class already has `PER_CLASS` blobs. So no blob looks much like a class, and what
likeness is left points to every class equally often.

The oracle is an overlap and no trained network, because it has no bias of its own: a network would reject what looks
like a shape to its family, and would leave what looks like one to the other. It also needs no training and no weights.
"""

import math

import numpy as np
from masks import AREA, UPSCALE, Bytes, reduced
from numpy.typing import NDArray
from scipy import ndimage

MOST_OVERLAP = 0.70
PER_CLASS = 12
TURNS = range(0, 360, 10)  # degrees
SHIFTS = range(-2, 3)  # pixels
CANVAS = 256  # pixels per side of a candidate's noise
GRAIN = (14.0, 26.0)  # pixels of the canvas: least and greatest standard deviation of the smoothing
LEAST_AREA = 0.55  # of the largest region relative to the shapes' area; smaller ones would be enlarged too much

Floats = NDArray[np.float64]


def turned_masks(masks: Bytes) -> Floats:
    """Return (classes, turns, 32, 32) coverage in [0, 1] of the shapes at every turn.

    Args:
        masks: (classes, angles, 32, 32) coverage, 0 to 255; the middle angle is upright.
    """
    upright = masks[:, masks.shape[1] // 2].astype(np.float64) / 255
    turned = [ndimage.rotate(upright, turn, axes=(1, 2), reshape=False, order=1) for turn in TURNS]
    return np.stack(turned, axis=1).clip(0, 1)


def best_overlaps(blob: Floats, turned: Floats) -> Floats:
    """Return (classes,) the best overlap of a blob with each class, in [0, 1].

    Args:
        blob: (32, 32) coverage in [0, 1].
        turned: of `turned_masks`.
    """
    classes = turned.reshape(len(turned), -1, blob.size)
    areas = classes.sum(axis=2)
    best = np.zeros(len(turned))
    for down in SHIFTS:
        for right in SHIFTS:
            moved = np.roll(blob, (down, right), axis=(0, 1)).ravel()
            shared = np.minimum(classes, moved).sum(axis=2)
            best = np.maximum(best, (shared / (areas + moved.sum() - shared)).max(axis=1))
    return best


def _region(rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """Return the largest connected region of thresholded smooth noise, in a frame; None if it is too small."""
    y, x = np.mgrid[:CANVAS, :CANVAS]
    field = ndimage.gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), rng.uniform(*GRAIN), mode="wrap")
    centrality = (np.hypot(x - CANVAS / 2, y - CANVAS / 2) / (0.36 * CANVAS)) ** 6
    field = field / field.std() - centrality.clip(0, 20)
    area = int(AREA / 32**2 * CANVAS**2)
    labels, count = ndimage.label(field > np.sort(field.ravel())[-int(1.05 * area)])
    sizes = ndimage.sum_labels(labels > 0, labels, range(1, count + 1))
    region = labels == int(np.argmax(sizes)) + 1
    return np.pad(region, CANVAS // 2) if region.sum() >= LEAST_AREA * area else None


def _candidate(rng: np.random.Generator) -> Floats | None:
    """Return (32, 32) coverage of a region with the shapes' area; None if there is none that fits the frame."""
    region = _region(rng)
    if region is None:
        return None
    try:
        return reduced(region, math.sqrt(AREA * UPSCALE**2 / region.sum()), 0.0)
    except ValueError:
        return None


def blob_masks(masks: Bytes, rng: np.random.Generator) -> Bytes:
    """Return (blobs, 32, 32) coverage, 0 to 255, of regions that the shape oracle calls no class.

    Args:
        masks: (classes, angles, 32, 32) coverage of the shapes.
        rng: draws the candidates.
    """
    turned, candidates = turned_masks(masks), 0
    nearest: list[list[Floats]] = [[] for _ in masks]
    while min(map(len, nearest)) < PER_CLASS:
        candidate = _candidate(rng)
        candidates += 1
        if candidate is None:
            continue
        overlaps = best_overlaps(candidate, turned)
        if overlaps.max() <= MOST_OVERLAP and len(nearest[overlaps.argmax()]) < PER_CLASS:
            nearest[overlaps.argmax()].append(candidate)
    print(f"kept {PER_CLASS * len(masks)} blobs of {candidates} candidates")
    return np.round(np.concatenate(nearest) * 255).astype(np.uint8)
