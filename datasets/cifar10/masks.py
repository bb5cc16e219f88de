"""Makes `masks.npz`, the object masks: `python datasets/cifar10/masks.py ESTIMATED.npz TEST.parquet`.

ESTIMATED.npz holds what two networks found; README.md says how. TEST.parquet is the test split of the public copy in
JPEG, whose column `img` has the path `CLASS/NUMBER.jpg` of each image. The spec pins the SHA-256 of the result.
"""

import hashlib
import io
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from kdbench.data.cifar10 import CLASSES
from kdbench.files import atomic_file
from kdbench.testsets.shipped_masks import thumbnails

AREA = (0.04, 0.80)  # smallest and largest share of the image in a covered image's mask
AGREEMENT = 0.50  # smallest intersection over union of the masks of the two networks
CONFIDENCE = 0.35  # smallest difference between the mean saliency inside and outside of the mask
CUT = 0.15  # share of an edge of the image from which on the mask is cut off there
MOST_CUT = 2  # edges at which the mask of a covered image is cut off


def main(estimated: Path, test: Path) -> None:
    with np.load(estimated) as arrays:
        found = {name: arrays[name] for name in arrays}
    packed = np.where(found["strict"][:, None], found["masks_isnet"], found["masks"])
    shipped = {
        "masks": packed,
        "covered": _covered(np.unpackbits(packed, axis=1).reshape(-1, 32, 32), found),
        "thumbnail": thumbnails(_images(test, list(zip(found["label"], found["number"], strict=True)))),
        **{name: found[name] for name in ("label", "number", "confidence", "agreement", "strict")},
    }
    path = Path(__file__).parent / "masks.npz"
    with atomic_file(path) as file:
        np.savez_compressed(file, **shipped)
    print(f"masks_sha256 = {hashlib.sha256(path.read_bytes()).hexdigest()}")
    for label, name in enumerate(CLASSES):
        print(f"{name} {shipped['covered'][found['label'] == label].mean():.3f}")


def _covered(masks: NDArray[np.uint8], found: dict[str, Any]) -> NDArray[np.bool_]:
    area = masks.mean(axis=(1, 2))
    edges = np.stack([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]]).mean(axis=2)
    whole = (area >= AREA[0]) & (area <= AREA[1]) & ((edges > CUT).sum(axis=0) <= MOST_CUT)
    return whole & (found["agreement"] / 255 >= AGREEMENT) & (found["confidence"] / 255 >= CONFIDENCE)


def _images(test: Path, keys: list[tuple[int, int]]) -> NDArray[np.uint8]:
    """Return the images with these classes and numbers."""
    cells = parquet.read_table(test)["img"].to_pylist()
    paths = [PurePosixPath(cell["path"]) for cell in cells]
    row = {(CLASSES.index(path.parent.name), int(path.stem)): number for number, path in enumerate(paths)}
    return np.stack([np.asarray(Image.open(io.BytesIO(cells[row[key]]["bytes"]))) for key in keys])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
