"""Draws the masks of shapes, for `tables.py`."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIZE = 32
REACH = 14  # pixels that a shape may extend from its centroid; leaves room for a shift of two on every side
AREA = 0.2425 * SIZE * SIZE  # pixels that the largest of each shape covers; a larger triangle would not fit
SMALLEST = 0.9  # the smallest area relative to the largest; every angle has its own, the same for all shapes
ANGLES = tuple(range(-15, 16))  # degrees
UPSCALE = 16  # sub-pixels of the drawing per side of a pixel

Bytes = NDArray[np.uint8]


def reduced(mask: NDArray[np.bool_], zoom: float, angle: float) -> NDArray[np.float64]:
    """Return (32, 32) coverage in [0, 1] of a drawing, zoomed, turned, its centroid on the centre of the frame."""
    turn = math.radians(angle)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) / zoom
    centre = np.array(mask.shape) / 2
    fine = SIZE * UPSCALE
    drawn = (
        ndimage.affine_transform(
            mask.astype(np.float32),
            rotation,
            offset=centre - rotation @ np.array([fine / 2, fine / 2]),
            output_shape=(fine, fine),
            order=1,
        )
        > 0.5
    )
    places = np.argwhere(drawn)
    centroid = places.mean(axis=0)
    reach = np.abs(places - centroid).max() / UPSCALE
    if reach > REACH or places.min() == 0 or places.max() == fine - 1:
        raise ValueError(
            f"a shape that reaches {reach:.1f} pixels from its centroid does not fit; the maximum is {REACH} pixels"
        )
    centred = np.roll(drawn, np.round((fine - 1) / 2 - centroid).astype(int), axis=(0, 1))
    coverage: NDArray[np.float64] = centred.reshape(SIZE, UPSCALE, SIZE, UPSCALE).mean(axis=(1, 3))
    return coverage


def shape_masks(shapes: Iterable[tuple[str, Callable[[], NDArray[np.bool_]]]]) -> Bytes:
    """Return (shapes, angles, 32, 32) coverage, 0 to 255; equal areas at every angle, as far as the reach allows."""
    masks = []
    sizes = np.sqrt(np.random.default_rng(0).permutation(np.linspace(SMALLEST, 1.0, len(ANGLES))))
    for name, draw in shapes:
        drawing = draw()
        zoom = math.sqrt(AREA * UPSCALE**2 / drawing.sum())
        while True:
            try:
                turned = [reduced(drawing, zoom * size, angle) for size, angle in zip(sizes, ANGLES, strict=True)]
                break
            except ValueError:
                zoom *= 0.985
        areas = [float(coverage.sum()) for coverage in turned]
        print(f"{name:14s} area {np.mean(areas) / SIZE**2:.3f}")
        masks.append(turned)
    return np.round(np.array(masks) * 255).astype(np.uint8)
