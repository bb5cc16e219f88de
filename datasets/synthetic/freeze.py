"""Freezes the synthetic test arrays: `python datasets/synthetic/freeze.py`, which `nox -s pin` runs first.

Writes the SHA-256 of the tables to the spec, makes the superpixel maps for the look and the tables as they are now,
builds every test set and every diagnostic variant, and writes the SHA-256 of each to `manifest.toml` and the picture
`contact-sheet.png`. After a release, look, tables and test sets may not change.
"""

import re
import tempfile
from pathlib import Path

import slic_labels

from kdbench.files import file_sha256
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.contact_sheet import contact_sheet
from kdbench.testsets.frozen import manifest_rows, write_manifest
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
HEADING = "SHA-256 of the images, then the targets (int16, little-endian), of each test array. Made by freeze.py."


def pin_tables() -> None:
    """Write the SHA-256 of the tables to the spec."""
    path, line = shipped(*SPEC_PATH), f'tables_sha256 = "{file_sha256(HERE / "tables.npz")}"'
    text, count = re.subn(r'(?m)^tables_sha256 = "\w*"', line, path.read_text())
    if count != 1:
        raise RuntimeError(f"{path} has {count} lines with tables_sha256, expected one")
    path.write_text(text)


def main() -> None:
    pin_tables()
    slic_labels.write_benchmark_maps(HERE / "slic_labels.npz")
    tracks = [track for track in load_spec().tracks.values() if track.data.source == "synthetic"]
    with tempfile.TemporaryDirectory() as cache:
        by_track = {track.name: build_test_sets(track, Path(cache), source=None, diagnostics=True) for track in tracks}
        rows = [row for name, arrays in by_track.items() for row in manifest_rows(name, arrays, None)]
        write_manifest(HERE / "manifest.toml", tuple(rows), heading=HEADING)
        first, arrays = tracks[0], by_track[tracks[0].name]
        contact_sheet({each.name: arrays[each.name] for each in first.test_sets}, HERE / "contact-sheet.png")
    print(f"froze {len(rows)} arrays of {', '.join(by_track)} in {HERE}")


if __name__ == "__main__":
    main()
