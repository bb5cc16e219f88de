"""Measures how much a picture looks like each texture, without any training, for `fills.py`.

The *texture oracle* describes windows of a picture by statistics that do not depend on where in the window something
is: the strength, skewness and kurtosis of the responses of even Gabor filters, and the distribution of grey levels. It
compares them with those of the windows of each texture by the squared Mahalanobis distance, with the covariance within
textures, shrunk halfway to its diagonal. It names the texture of .99 of the windows of test crops.

It has no trained weights. Of several sets of statistics, the one was taken that agreed most with the answers of
networks of both families (`benchmark/v1/validity/LOOK.md`); no statistic was fitted to them.
"""

import math
from collections.abc import Sequence

import numpy as np
from crops import SignedBytes
from numpy.typing import NDArray
from scipy import ndimage

WINDOW = 20  # pixels per side; about what an object shows of its fill
PER_CROP = 60  # windows per training crop
PER_PICTURE = 40  # windows per picture; the choice then hardly depends on which windows are drawn
NOISE = 17.7  # table units of noise on every pixel, in about the same ratio to the texture as in the images
WAVELENGTHS = (3.0, 4.5, 7.0, 11.0)  # pixels
TURNS = 4
LEVELS = np.linspace(0.02, 0.98, 9)  # quantiles of the grey levels

Floats = NDArray[np.float64]


def _gabor(wavelength: float, turn: float) -> Floats:
    """Return an even Gabor filter of one octave, with mean 0 and norm 1."""
    reach = math.ceil(1.25 * wavelength)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    envelope = np.exp(-2 * (x**2 + y**2) / wavelength**2)
    wave = envelope * np.cos(2 * math.pi * (x * math.cos(turn) + y * math.sin(turn)) / wavelength)
    wave -= envelope * wave.sum() / envelope.sum()
    normalised: Floats = wave / np.linalg.norm(wave)
    return normalised


def _operators() -> list[Floats]:
    """Return each filter as a (pixels, pixels) matrix that multiplies flattened windows, with reflecting borders."""
    points = np.eye(WINDOW**2).reshape(-1, WINDOW, WINDOW)
    kernels = (_gabor(wavelength, math.pi * turn / TURNS) for wavelength in WAVELENGTHS for turn in range(TURNS))
    return [ndimage.convolve(points, kernel[None], mode="reflect").reshape(len(points), -1) for kernel in kernels]


OPERATORS = _operators()


def _moments(values: Floats) -> list[Floats]:
    """Return the skewness, clipped, and the logarithm of the kurtosis of (n, side, side) values, (n,) each."""
    standard = values / (values.std(axis=(1, 2), keepdims=True) + 1e-6)
    return [(standard**3).mean(axis=(1, 2)).clip(-3, 3), np.log((standard**4).mean(axis=(1, 2)))]


def features(windows: Floats) -> Floats:
    """Return (n, 59) statistics of (n, side, side) windows."""
    columns = _moments(windows)
    for operator in OPERATORS:
        response = (windows.reshape(len(windows), -1) @ operator).reshape(windows.shape)
        columns += [np.log(np.abs(response).mean(axis=(1, 2)) + 1), *_moments(response)]
    smooth = ndimage.gaussian_filter(windows, (0, 0.7, 0.7)).reshape(len(windows), -1)
    return np.column_stack([*columns, np.quantile(smooth, LEVELS, axis=1).T / 48])


def _windows(pictures: SignedBytes, count: int, rng: np.random.Generator) -> Floats:
    """Return `count` noisy windows per picture, (n, side, side), with mean 0 before the noise."""
    corners = rng.integers(0, pictures.shape[-1] - WINDOW + 1, (len(pictures), count, 2))
    cut = [
        picture[top : top + WINDOW, left : left + WINDOW].astype(np.float64)
        for picture, places in zip(pictures, corners, strict=True)
        for top, left in places
    ]
    windows = np.stack([window - window.mean() for window in cut])
    return windows + NOISE * rng.standard_normal(windows.shape)


class TextureOracle:
    """Compares pictures with textures."""

    def __init__(self, crops: Sequence[SignedBytes], rng: np.random.Generator) -> None:
        """Describe the textures.

        Args:
            crops: of each texture, (crops, side, side).
            rng: draws windows and noise, here and in `distances`.
        """
        self._rng = rng
        known = np.stack([features(_windows(of_texture, PER_CROP, rng)) for of_texture in crops])
        self._means = known.mean(axis=1)
        within = (known - self._means[:, None]).reshape(-1, known.shape[-1])
        covariance = within.T @ within / len(within)
        self._precision = np.linalg.inv((covariance + np.diag(np.diag(covariance))) / 2)

    def distances(self, picture: SignedBytes) -> Floats:
        """Return (textures,) the mean squared distance of a picture's windows from each texture."""
        offsets = features(_windows(picture[None], PER_PICTURE, self._rng))[:, None] - self._means
        each: Floats = np.einsum("wtf,fg,wtg->wt", offsets, self._precision, offsets)
        return each.mean(axis=0)
