"""Pictures for people: the same images under every manipulation."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kdbench.data.array_types import Images
from kdbench.files import atomic_file
from kdbench.spec import Data
from kdbench.testsets.arrays import TestArrays

SCALE, GAP, LABEL_WIDTH = 2, 4, 130  # pixels
SHOWN = 96  # pixels per side of larger images


def gallery(arrays: Mapping[str, TestArrays], columns: int = 10, data: Data | None = None) -> dict[str, Images]:
    """Return one image per class, the same under every manipulation.

    The chosen image of a class is the original in as many sets as possible. A set without images of it shows another
    image of the same class (on cue-conflict, of the same shape).

    Args:
        arrays: by set, including "clean".
        columns: the largest number of images per set.
        data: of the track. If it resizes its images, they are shown as networks see them, but smaller.

    Returns:
        By set, (columns, H, W, 3) uint8.
    """
    clean = arrays["clean"]
    made_from = np.zeros(len(clean), np.int64)
    for test_arrays in arrays.values():
        made_from[np.unique(test_arrays.index[test_arrays.index >= 0])] += 1
    classes = np.unique(clean.targets)[:columns]
    chosen = [
        int(members[made_from[members].argmax()]) for members in (np.flatnonzero(clean.targets == c) for c in classes)
    ]
    return {name: _row(test_arrays, chosen, clean, data) for name, test_arrays in arrays.items()}


def _row(arrays: TestArrays, chosen: list[int], clean: TestArrays, data: Data | None) -> Images:
    height, width = pictures(arrays, [0], data).shape[1:3]
    row = np.full((len(chosen), height, width, 3), 255, np.uint8)
    for column, position in enumerate(chosen):
        made_from_it = np.flatnonzero(arrays.index == position)
        members = made_from_it if len(made_from_it) else np.flatnonzero(arrays.targets == clean.targets[position])
        if len(members):
            member = int(members[0 if len(made_from_it) else column // 2 % len(members)])
            row[column] = pictures(arrays, [member], data)[0]
    return row


def pictures(arrays: TestArrays, rows: list[int], data: Data | None) -> Images:
    """Return (k, H, W, 3) uint8, some images of a set; resized images are shown as networks see them, but smaller."""
    if data is None or data.resize is None:
        return np.asarray(arrays.images[rows])
    return _seen_small(arrays, rows, data)


def _seen_small(arrays: TestArrays, rows: list[int], data: Data) -> Images:
    """Return (k, SHOWN, SHOWN, 3), some images of a set as networks see them, reduced for people."""
    import torch  # tracks without resized images do not need it
    from torch.nn import functional as F

    from kdbench.data.pixels import pixels_at_size

    seen = pixels_at_size(arrays.images[rows], data, torch.device("cpu"))
    if arrays.manipulation is not None:
        seen = arrays.manipulation.apply(seen, np.array(rows))
    small = F.interpolate(seen, (SHOWN, SHOWN), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(small.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())


def contact_sheet(arrays: Mapping[str, TestArrays], path: Path, data: Data | None = None) -> None:
    """Write a PNG with a row per set, under its name, and a column per image.

    Raises:
        WriteError: the file cannot be written.
    """
    rows = gallery(arrays, data=data)
    height, width = next(iter(rows.values())).shape[1:3]
    columns = max(len(row) for row in rows.values())
    step_down, step_right = height * SCALE + GAP, width * SCALE + GAP
    sheet = Image.new("RGB", (LABEL_WIDTH + columns * step_right, len(rows) * step_down + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for line, (name, row) in enumerate(rows.items()):
        top = GAP + line * step_down
        draw.text((GAP, top + height * SCALE // 2 - 8), name, fill="black", font=ImageFont.load_default(14))
        for column, image in enumerate(row):
            tile = Image.fromarray(image).resize((width * SCALE, height * SCALE), Image.Resampling.NEAREST)
            sheet.paste(tile, (LABEL_WIDTH + column * step_right, top))
    with atomic_file(path) as file:
        sheet.save(file, format="PNG")
