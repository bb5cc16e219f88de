"""Makes the superpixel maps of the clean test images: `python datasets/synthetic/slic_labels.py`.

SLIC computes in floats, so its maps may differ by a pixel between machines. What ships is `slic_labels.npz`; the
locality set is integer arithmetic on it. Run `freeze.py` instead to make the manifest as well.
"""

import argparse
from pathlib import Path

import numpy as np

from kdbench.data.store import array_sha256
from kdbench.data.synthetic import test_images
from kdbench.data.training_sets import look_of
from kdbench.spec import load_spec
from kdbench.testsets.locality import segment_maps

SEGMENTS = 64


def write_maps(path: Path) -> None:
    """Writes `labels` (n, 32, 32) uint8 and `sha256` (n, 32) uint8, the digest of the image of each map."""
    track = load_spec().track("synthetic")
    count = next(one.images for one in track.test_sets if one.name == "clean")
    images = test_images("clean", count=count, look=look_of(track)).images
    digests = np.array([list(bytes.fromhex(array_sha256(image))) for image in images], np.uint8)
    np.savez_compressed(path, labels=segment_maps(images, segments=SEGMENTS), sha256=digests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("slic_labels.npz"))
    out = parser.parse_args().out
    write_maps(out)
    print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
