"""The digest of the synthetic images. Of what is installed this imports numpy alone, so that any version can be asked:
`python -m tests.pinned_bytes` exits with 0 if the bytes are the pinned ones."""

import hashlib
import sys
import tomllib
from pathlib import Path
from typing import Final

import numpy as np

from kdbench.data.synthetic import Saliences, TestCondition, condition_images, training_images

DOSES: tuple[float | None, ...] = (None, 0.0, 0.35, 1.0)
CONDITIONS: tuple[TestCondition, ...] = ("clean", "shape", "texture", "texture-field", "cue-conflict")
PINS: Final = Path(__file__).with_name("pins.toml")


def pinned_digest() -> str:
    """Return the digest that `python -m tests.pins` wrote."""
    return str(tomllib.loads(PINS.read_text())["images"])


def sha256_of_some_images() -> str:
    """Digest of 30 images of each law and condition under the default look, and of their labels."""
    drawn = [training_images("stream", dose=dose, count=30, saliences=Saliences()) for dose in DOSES]
    drawn += [condition_images(condition, count=30, saliences=Saliences()) for condition in CONDITIONS]
    return hashlib.sha256(b"".join(images.images.tobytes() + images.labels.tobytes() for images in drawn)).hexdigest()


if __name__ == "__main__":
    digest = sha256_of_some_images()
    print(f"numpy {np.__version__}: {digest}")
    sys.exit(f"expected {pinned_digest()}" if digest != pinned_digest() else 0)
