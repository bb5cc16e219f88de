"""Makes the superpixel maps of the clean test images: `python datasets/synthetic/slic_labels.py`.

SLIC computes in floats, so its maps may differ by a pixel between machines. What ships is `slic_labels.npz`; the
locality set is integer arithmetic on it. Run `freeze.py` instead to make the manifest as well.
"""

import argparse
from pathlib import Path

from kdbench.data.synthetic import condition_images
from kdbench.data.training_sets import saliences_of
from kdbench.testsets.kinds.superpixels import slic_of, write_maps
from kdbench.testsets.spec import load_spec


def write_benchmark_maps(path: Path) -> None:
    """Write the maps of the synthetic track's clean images, with the parameters of its locality set."""
    track = load_spec().track("synthetic")
    locality = track.primary_sets("locality")[0]
    images = condition_images("clean", count=locality.images, saliences=saliences_of(track)).images
    write_maps(path, images, slic_of(locality))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("slic_labels.npz"))
    out = parser.parse_args().out
    write_benchmark_maps(out)
    print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
