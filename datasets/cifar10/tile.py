"""Makes `tile.npz`, the noise tile of the 224-pixel track: `python datasets/cifar10/tile.py`.

Gaussian noise of half the range (standard deviation .5 of pixels in [0, 1]), large enough for the widest patch
of the sweep; smaller patches are its centre. It ships because floats decide it; the spec pins its SHA-256.
"""

from pathlib import Path

import numpy as np

from kdbench.data.store import array_sha256
from kdbench.files import atomic_file

SIDE = 96  # pixels
SEED = 224
DEVIATION = 0.5 * 255  # grey levels


def main() -> None:
    noise = np.random.default_rng(SEED).standard_normal((SIDE, SIDE, 3))
    tile = np.round(noise * DEVIATION).astype(np.int16)
    with atomic_file(Path(__file__).parent / "tile.npz") as file:
        np.savez_compressed(file, tile=tile)
    print(f"tile_sha256 = {array_sha256(tile)}")


if __name__ == "__main__":
    main()
