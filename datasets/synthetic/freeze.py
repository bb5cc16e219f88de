"""Freezes the synthetic test arrays: `python datasets/synthetic/freeze.py`.

Makes the superpixel maps for the look and the tables as they are now, builds every test set, and writes the SHA-256 of
each to `manifest.toml` and the picture `contact-sheet.png`. After this, look, tables and test sets may not change.
"""

import tempfile
from pathlib import Path

import slic_labels

from kdbench.testsets.build import build_test_sets
from kdbench.testsets.contact_sheet import contact_sheet
from kdbench.testsets.frozen import manifest_rows, write_manifest
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
HEADING = "SHA-256 of the images, then the targets (int16, little-endian), of each test array. Made by freeze.py."


def main() -> None:
    slic_labels.write_benchmark_maps(HERE / "slic_labels.npz")
    track = load_spec().track("synthetic")
    with tempfile.TemporaryDirectory() as cache:
        made = build_test_sets(track, Path(cache), source=None, diagnostics=True)
        arrays = {test_set.name: made[test_set.name] for test_set in track.test_sets}
        write_manifest(HERE / "manifest.toml", manifest_rows("synthetic", arrays, None), heading=HEADING)
        contact_sheet(arrays, HERE / "contact-sheet.png")
    print(f"froze {len(arrays)} arrays in {HERE}")


if __name__ == "__main__":
    main()
