"""Makes the neutral fills of the `shape` set, for `tables.py`: blends in which no texture of the vocabulary dominates.

A candidate is the sum of a crop each of two or three textures with nearly equal weights, standardised as the crops of
textures are. It is rejected if the *texture oracle* (`texture_oracle.py`) finds it nearer to a texture than
`LEAST_DISTANCE`, or if its nearest texture already has `PER_TEXTURE` fills. So no fill looks much like one texture, and
what likeness is left points to every texture equally often. The blobs of the `texture` set are chosen in the same way.
The fill of an image does not depend on its shape.

What is kept gets `CONTRAST` of the contrast of a texture. Networks then rely less on what likeness is left, and both
families find shape alone about as hard as texture alone.

A blend is what the neutral law shows with the texture of another class at .25 to .45, at the weight at which neither
wins: the images stay like those of training. Noise with random phases, which was tried first, does not. Networks answer
"grass" to it, the texture of many small elements without an order: up to .61 of the answers of a texture teacher for
noise with the mean spectrum of all textures, and up to .29 for noise between this and single textures. Blends without
the oracle draw "grass" in up to .31 of the answers. `benchmark/v1/validity/LOOK.md` has the numbers of these fills.
"""

import numpy as np
from crops import SignedBytes, standardised
from texture_oracle import TextureOracle

PER_TEXTURE = 6
LEAST_DISTANCE = 64.0  # squared, from `TextureOracle`; .8 of the windows of a texture are nearer to their own
CONTRAST = 0.8  # of a fill, where that of a texture is 1
THREE = 0.4  # probability that a candidate has three textures and not two
WEIGHTS = (0.7, 1.3)  # least and greatest weight of a texture before standardising


def _blend(crops: SignedBytes, rng: np.random.Generator) -> SignedBytes:
    """Return (64, 64) the blend of crops of two or three textures."""
    textures = rng.permutation(len(crops))[: 3 if rng.random() < THREE else 2]
    chosen = [crops[texture, rng.integers(crops.shape[1])].astype(np.float64) for texture in textures]
    return standardised(sum(rng.uniform(*WEIGHTS) * crop for crop in chosen))


def neutral_fills(train: SignedBytes, test: SignedBytes, rng: np.random.Generator) -> SignedBytes:
    """Return (fills, 64, 64) blends that the texture oracle calls no texture.

    Args:
        train: (textures, crops, 64, 64) crops that the oracle compares with.
        test: (textures, crops, 64, 64) crops that are blended, so no fill shows pixels of a training image.
        rng: draws the candidates.
    """
    oracle, candidates = TextureOracle(list(train), rng), 0
    nearest: list[list[SignedBytes]] = [[] for _ in train]
    while min(map(len, nearest)) < PER_TEXTURE:
        candidate = _blend(test, rng)
        candidates += 1
        distances = oracle.distances(candidate)
        if distances.min() >= LEAST_DISTANCE and len(nearest[distances.argmin()]) < PER_TEXTURE:
            nearest[distances.argmin()].append(candidate)
    print(f"kept {PER_TEXTURE * len(train)} neutral fills of {candidates} candidates")
    fills = np.concatenate([np.stack(of_texture) for of_texture in nearest])
    return np.round(CONTRAST * fills).astype(np.int8)
