"""The digest of the synthetic images. Of what is installed this imports numpy alone, so that any version can be asked:
`python -m tests.pinned_bytes` exits with 0 if the bytes are the pinned ones."""

import hashlib
import sys

import numpy as np

from kdbench.data.synthetic import Law, Saliences, TestCondition, condition_images, training_images

LAWS: tuple[Law, ...] = ("neutral", "shape", "texture")
CONDITIONS: tuple[TestCondition, ...] = ("clean", "shape", "texture", "texture-field", "cue-conflict")
PINNED = "1fb871a35c0dacbceffa039959c5c7e92c57d3d8886935fd023fd30be0758fac"


def sha256_of_some_images() -> str:
    """Digest of 30 images of each law and condition under the default look, and of their labels."""
    drawn = [training_images(law, "stream", count=30, saliences=Saliences()) for law in LAWS]
    drawn += [condition_images(condition, count=30, saliences=Saliences()) for condition in CONDITIONS]
    return hashlib.sha256(b"".join(images.images.tobytes() + images.labels.tobytes() for images in drawn)).hexdigest()


if __name__ == "__main__":
    digest = sha256_of_some_images()
    print(f"numpy {np.__version__}: {digest}")
    sys.exit(f"expected {PINNED}" if digest != PINNED else 0)
