"""Makes the tables that synthetic images are drawn from: `python datasets/synthetic/tables.py`.

Floats decide here, once; what ships is `tables.npz`, and a run does integer arithmetic on it alone. Rerunning on
another machine may move a table by one grey level: the frozen tables are the shipped ones, by sha256.
"""

import argparse
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import vocabulary
from numpy.typing import NDArray
from scipy import ndimage

SIZE, CROP = 32, vocabulary.CROP
REACH = 14  # pixels that a shape may extend from its centroid; leaves room for a shift of two on every side
AREA = 0.2425 * SIZE * SIZE  # pixels that the largest of each shape covers; a larger triangle would not fit
SMALLEST = 0.9  # the smallest area relative to the largest; every angle has its own, the same for all shapes
ANGLES = tuple(range(-15, 16))  # degrees
CROPS_PER_SPLIT = 6
SIGMA = 48  # a texture's standard deviation in table units
CLIP = 2.5  # standard deviations
COLOUR_PAIRS = 48
CHROMA = 46  # grey levels between a colour and the grey of its luminance
UPSCALE = 16  # sub-pixels of the drawing per side of a pixel

Bytes = NDArray[np.uint8]
SignedBytes = NDArray[np.int8]


def _reduced(mask: NDArray[np.bool_], zoom: float, angle: float) -> NDArray[np.float64]:
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
                turned = [_reduced(drawing, zoom * size, angle) for size, angle in zip(sizes, ANGLES, strict=True)]
                break
            except ValueError:
                zoom *= 0.985
        areas = [float(coverage.sum()) for coverage in turned]
        print(f"{name:14s} area {np.mean(areas) / SIZE**2:.3f}")
        masks.append(turned)
    return np.round(np.array(masks) * 255).astype(np.uint8)


def blob_masks(count: int, rng: np.random.Generator) -> Bytes:
    """Return (count, 32, 32) random Fourier contours of the shapes' area: regions that are in no shape vocabulary."""
    blobs: list[NDArray[np.float64]] = []
    axis = (np.arange(vocabulary.CANVAS) + 0.5) / vocabulary.CANVAS * 4 - 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    while len(blobs) < count:
        contour = np.ones_like(angle)
        for frequency in range(2, 6):
            amount = rng.normal(0, 0.28 / frequency)
            contour += amount * np.cos(frequency * angle + rng.uniform(0, 2 * math.pi))
        drawing = radius <= 0.7 * contour
        try:
            blobs.append(_reduced(drawing, math.sqrt(AREA * UPSCALE**2 / drawing.sum()), 0.0))
        except ValueError:
            continue
    return np.round(np.array(blobs) * 255).astype(np.uint8)


def _windows(sheet: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    """Return `count` windows of 64 x 64 from a sheet, spread over it.

    A sheet that is smaller than a window is mirrored at its edge.
    """
    short = [max(0, CROP - side) for side in sheet.shape]
    sheet = np.pad(sheet, [(0, short[0]), (0, short[1])], mode="reflect")
    columns = max(1, round(math.sqrt(count * sheet.shape[1] / sheet.shape[0])))
    rows = math.ceil(count / columns)
    tops = np.linspace(0, sheet.shape[0] - CROP, rows).astype(int)
    lefts = np.linspace(0, sheet.shape[1] - CROP, columns).astype(int)
    corners = [(top, left) for top in tops for left in lefts][:count]
    return [sheet[top : top + CROP, left : left + CROP] for top, left in corners]


def _standardised(window: NDArray[np.float64]) -> SignedBytes:
    shading = ndimage.gaussian_filter(window, 12, mode="reflect")  # would tell where a crop is from
    local = window - shading
    for _ in range(20):  # clipping takes variance away, most of all from textures of few bright spots
        local = np.clip((local - local.mean()) / local.std(), -CLIP, CLIP)
    return np.round(local / local.std() * SIGMA).clip(-127, 127).astype(np.int8)


def texture_crops(
    textures: Iterable[tuple[str, Callable[[np.random.Generator], NDArray[np.float64]]]], seed: int
) -> tuple[SignedBytes, SignedBytes]:
    """Return train and test crops, (textures, crops, 64, 64) each, from the left and right half of every sheet."""
    train, test = [], []
    for number, (_, make) in enumerate(textures):
        sheet = make(np.random.default_rng([seed, number]))
        middle = sheet.shape[1] // 2
        for half, crops in ((sheet[:, :middle], train), (sheet[:, middle:], test)):
            crops.append([_standardised(window) for window in _windows(half, CROPS_PER_SPLIT)])
    return np.array(train), np.array(test)


def neutral_crops(crops: SignedBytes, count: int, rng: np.random.Generator) -> SignedBytes:
    """Return (count, 64, 64) noise with the mean power spectrum of the texture crops: no texture of the vocabulary."""
    power = np.mean(np.abs(np.fft.fft2(crops.reshape(-1, CROP, CROP).astype(float))) ** 2, axis=0)
    phases = np.fft.fft2(rng.standard_normal((count, CROP, CROP)))
    return np.array([_standardised(np.fft.ifft2(np.sqrt(power) * phase / np.abs(phase)).real) for phase in phases])


def colour_pairs(rng: np.random.Generator) -> Bytes:
    """Return (pairs, 2, 3) RGB of background and object, all of one luminance, their hues at least 60 degrees apart."""
    first, second = np.array([1, -1, 0]) / math.sqrt(2), np.array([1, 1, -2]) / math.sqrt(6)
    pairs = []
    for number in range(COLOUR_PAIRS):
        hue = 2 * math.pi * (number / COLOUR_PAIRS)
        opposite = hue + rng.uniform(math.pi / 3, 5 * math.pi / 3)
        pairs.append(
            [
                128 + CHROMA * rng.uniform(0.5, 1.0) * (math.cos(h) * first + math.sin(h) * second)
                for h in (hue, opposite)
            ]
        )
    return np.round(np.array(pairs)).astype(np.uint8)


def make_tables(*, pretext: bool) -> dict[str, NDArray[np.generic]]:
    """Return every table of the benchmark, or of the pretext task, whose vocabulary shares nothing with it."""
    shapes = vocabulary.PRETEXT_SHAPES if pretext else vocabulary.SHAPES
    textures = vocabulary.PRETEXT_TEXTURES if pretext else vocabulary.TEXTURES
    seed = 2 if pretext else 1
    rng = np.random.default_rng(seed)
    train, test = texture_crops(textures.items(), seed)
    return {
        "masks": shape_masks(shapes.items()),
        "blobs": blob_masks(64, rng),
        "train_textures": train,
        "test_textures": test,
        "neutral": neutral_crops(train, 8, rng),
        "colours": colour_pairs(rng),
        "noise": np.clip(np.round(rng.standard_normal((8, CROP, CROP, 3)) * SIGMA), -127, 127).astype(np.int8),
        "patch": np.round(rng.standard_normal((12, 12, 3)) * 0.5 * 255).astype(np.int16),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("tables.npz"))
    parser.add_argument("--pretext", action="store_true", help="write the tables of the pretext task instead")
    arguments = parser.parse_args()
    np.savez_compressed(arguments.out, **make_tables(pretext=arguments.pretext))  # type: ignore[arg-type]
    print(f"wrote {arguments.out} ({arguments.out.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
