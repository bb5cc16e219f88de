"""Folders of image files as somebody has them: bright and dark objects on grey, with masks."""

from pathlib import Path

import numpy as np
from PIL import Image

BRIGHT, DARK = "bright", "dark"
LEVELS = {BRIGHT: 215, DARK: 40}
BACKGROUND = 128


def write_images(
    folder: Path, count: int = 20, *, size: tuple[int, int] = (48, 32), suffix: str = ".png", masks: Path | None = None
) -> Path:
    """Write `count` images of each class, whose class is the brightness of a disc, and return their folder."""
    for name, level in LEVELS.items():
        for number in range(count):
            noise = np.random.default_rng(number).integers(-25, 26, (size[1], size[0], 3))
            disc = _disc(size, number % 3 - 1)
            pixels = np.where(disc[..., None], level, BACKGROUND) + noise
            write_image(folder / name / f"{number:03d}{suffix}", pixels)
            if masks is not None:
                write_image(masks / name / f"{number:03d}.png", disc * 255)
    return folder


def write_image(path: Path, pixels: np.ndarray) -> Path:
    """Write the pixels, (H, W) or (H, W, 3) from 0 to 255, as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return path


def _disc(size: tuple[int, int], shift: int) -> np.ndarray:
    """Return (height, width) bool, a disc near the middle whose diameter is .8 of the shorter side."""
    rows, columns = np.ogrid[: size[1], : size[0]]
    middle = (size[1] - 1) / 2 + shift, (size[0] - 1) / 2 - shift
    return np.hypot(rows - middle[0], columns - middle[1]) < 0.4 * min(size)
