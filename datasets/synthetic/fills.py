"""Makes the neutral fills of the `shape` set, for `tables.py`: noise that is no texture of the vocabulary.

Each fill is noise with random phases. Its amplitude spectrum is the geometric mean of two: the mean amplitude spectrum
of all ten textures, and that of one texture. Its distribution of grey levels is that of a crop of this texture. The ten
textures take turns, and the fill of an image does not depend on its shape, so the fills favour no texture.

Plain noise with the mean spectrum of all textures was tried first. It is Gaussian, so it looks like the textures of
many small elements. The largest share of answers that one class ("grass") drew on the `shape` set from a texture
teacher of the first edition, official seed 0 (ViT, CNN):

- plain noise with the mean spectrum: .55, .61;
- the mean spectrum, and the grey levels of one texture in turn: .25, .29;
- the spectrum halfway in between, as here: .20, .25;
- three quarters of the way: .21, .22; the texture's own spectrum: .16, .20. Most of these fills are recognised as their
  texture, and the accuracy of independents on shapes falls from .51 and .55 to .40 and .46.
"""

import numpy as np
from crops import SignedBytes, standardised
from numpy.typing import NDArray

PER_TEXTURE = 4
ROUNDS = 25  # of adjusting the spectrum and the grey levels in turn

Floats = NDArray[np.float64]


def surrogate(amplitude: Floats, grey_levels: Floats, rng: np.random.Generator) -> Floats:
    """Return noise with an amplitude spectrum, random phases and, as nearly as both allow, given grey levels.

    This is the iterated amplitude-adjusted Fourier transform of Schreiber and Schmitz (1996), in two dimensions.

    Args:
        amplitude: (side, side) of the discrete Fourier transform.
        grey_levels: (side, side), in any order.
        rng: draws the phases.
    """
    ranked = np.sort(grey_levels.ravel())
    noise = rng.standard_normal(amplitude.shape)
    for _ in range(ROUNDS):
        spectrum = np.fft.fft2(noise)
        noise = np.fft.ifft2(amplitude * spectrum / np.maximum(np.abs(spectrum), 1e-9)).real
        levels = np.empty(ranked.size)
        levels[np.argsort(noise.ravel(), kind="stable")] = ranked
        noise = levels.reshape(amplitude.shape)
    spectrum = np.fft.fft2(noise)
    return np.fft.ifft2(amplitude * spectrum / np.maximum(np.abs(spectrum), 1e-9)).real


def neutral_fills(crops: SignedBytes, rng: np.random.Generator) -> SignedBytes:
    """Return (fills, 64, 64) noise.

    Args:
        crops: (textures, crops, 64, 64) of training, at least `PER_TEXTURE` of each texture.
        rng: draws the phases.
    """
    levels = crops.astype(np.float64)
    amplitudes = np.abs(np.fft.fft2(levels)).mean(axis=1)
    halfway = np.sqrt(amplitudes.mean(axis=0) * amplitudes)
    return np.array(
        [
            standardised(surrogate(amplitude, of_texture[number], rng))
            for number in range(PER_TEXTURE)
            for amplitude, of_texture in zip(halfway, levels, strict=True)
        ]
    )
