"""The digests that tests pin: `python -m tests.pins` writes `pins.toml` anew. A change belongs in CHANGELOG.md.

`nox -s pin` also makes the manifest of the synthetic test sets anew, before this.
"""

import tomllib
from typing import Any

import tomli_w

from kdbench.testsets.spec import load_spec
from tests.pinned_bytes import PINS, sha256_of_some_images


def current_pins() -> dict[str, Any]:
    """Return the digest of some synthetic images, and the three digests of each track."""
    spec = load_spec()
    tracks = {
        name: {
            "training": track.training_digest,
            "testsets": track.testsets_digest,
            "scoring": spec.scoring_digest(name),
        }
        for name, track in spec.tracks.items()
    }
    return {"images": sha256_of_some_images(), "tracks": tracks}


def pinned() -> dict[str, Any]:
    """Return the content of `pins.toml`."""
    return tomllib.loads(PINS.read_text())


if __name__ == "__main__":
    PINS.write_text(tomli_w.dumps(current_pins()))
    print(f"wrote {PINS}")
