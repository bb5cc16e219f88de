"""Reads the rows of CIFAR-10's parquet files as the Hub has them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdbench.data.array_types import Integers
from kdbench.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("img", "image")
_POINTER = b"version https://git-lfs"


def read_rows(path: Path, classes: Sequence[str]) -> tuple[list[bytes], Integers]:
    """Return the encoded images and the labels of a parquet file.

    Args:
        path: of the file.
        classes: the names of CIFAR-10's classes, in order.

    Raises:
        DataError: the file is damaged, has other columns or other classes, or a row without an image.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        image = _image_column(path, parquet.read_schema(path).names)
        table = parquet.read_table(path, columns=[image, "label"])
        if not pa.types.is_integer(table.schema.field("label").type):
            raise ValueError(f"label is {table.schema.field('label').type}, expected integers 0 to {len(classes) - 1}")
        names = _class_names(table.schema.metadata)
        encoded = [cell for chunk in table.column(image).chunks for cell in _bytes_in(chunk).to_pylist()]
        labels = np.asarray(table.column("label").to_pylist(), dtype=np.int64)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise DataError(f"{path} cannot be read as CIFAR-10 parquet: {reason}; {_remedy(path)}") from error
    if names is not None and names != tuple(classes):
        raise DataError(f"{path} names its classes {', '.join(names)}; expected {', '.join(classes)} in this order")
    for row, cell in enumerate(encoded):
        if not cell:
            raise DataError(f"{path}, row {row} has no image bytes; fetch the file again")
    return encoded, labels


def _image_column(path: Path, names: Sequence[str]) -> str:
    """Return the name of the column of images; DataError, with the columns that there are, if one is missing."""
    if "fine_label" in names:
        raise DataError(f"{path} holds CIFAR-100, as its column fine_label shows; give a copy of CIFAR-10")
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    if image is None or "label" not in names:
        raise DataError(f"{path} has the columns {', '.join(names)}; expected {' or '.join(IMAGE_COLUMNS)}, and label")
    return image


def _bytes_in(images: "pa.Array") -> "pa.Array":
    """Return the encoded images of a column, which has them alone or with their paths."""
    import pyarrow as pa

    return images.field("bytes") if pa.types.is_struct(images.type) else images


def _remedy(path: Path) -> str:
    with path.open("rb") as file:
        is_pointer = file.read(len(_POINTER)) == _POINTER
    return "it is a pointer of Git LFS: fetch its content with `git lfs pull`" if is_pointer else "fetch it again"


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """Return the label names that a Hub file declares; None if it declares none."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
