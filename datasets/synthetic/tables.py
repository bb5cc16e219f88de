"""Makes the tables that synthetic images are drawn from: `python datasets/synthetic/tables.py`.

Floats decide here, once; what ships is `tables.npz`, and a run does integer arithmetic on it alone. Rerunning on
another machine may move a table by one grey level: the frozen tables are the shipped ones, by sha256. Every table has a
random stream of its own.

The shipped tables of the pretext task are frozen, too, since the pretrained weights depend on them. They were made
before tables had streams of their own; `--pretext` now gives other colours and noise, no blobs and fills, and the same
shapes and textures.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import vocabulary
from blobs import blob_masks
from crops import CROP, SIGMA, texture_crops
from fills import neutral_fills
from masks import Bytes, shape_masks
from numpy.typing import NDArray

BLOB_STREAM = (8, 1)  # of the draws that were compared, the one whose blobs the networks call "star" least often
COLOUR_PAIRS = 48
CHROMA = 46  # grey levels between a colour and the grey of its luminance


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
    """Return every table of the benchmark, or of the pretext task, whose vocabulary shares nothing with it.

    The pretext task shows no blobs and no neutral fills; it has an empty one of each.
    """
    shapes = vocabulary.PRETEXT_SHAPES if pretext else vocabulary.SHAPES
    textures = vocabulary.PRETEXT_TEXTURES if pretext else vocabulary.TEXTURES
    seed = 2 if pretext else 1
    colours, noise, patch, fills = (np.random.default_rng([seed, number]) for number in (100, 101, 102, 104))
    masks = shape_masks(shapes.items())
    train, test = texture_crops(textures.items(), seed)
    return {
        "masks": masks,
        "blobs": np.zeros_like(masks[0, :1]) if pretext else blob_masks(masks, np.random.default_rng(BLOB_STREAM)),
        "train_textures": train,
        "test_textures": test,
        "neutral": np.zeros_like(train[0, :1]) if pretext else neutral_fills(train, test, fills),
        "colours": colour_pairs(colours),
        "noise": np.clip(np.round(noise.standard_normal((8, CROP, CROP, 3)) * SIGMA), -127, 127).astype(np.int8),
        "patch": np.round(patch.standard_normal((12, 12, 3)) * 0.5 * 255).astype(np.int16),
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
