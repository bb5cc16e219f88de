"""What every test set draws on: random words of single images, and tables that the spec pins."""

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Integers
from kdbench.data.store import array_sha256
from kdbench.errors import DataError
from kdbench.randomness import Words, words

VERSION = 1  # of all test sets; raise it whenever a byte of any array changes on purpose


def image_words(ids: Integers, *name: str | int, per_item: int) -> Words:
    """Return (n, per_item) random words of images, from the stream of a test set.

    What an image gets depends on its id alone, not on which other images are drawn.

    Args:
        ids: (n,) non-negative, position of each image in the whole data set.
        *name: words and numbers that name the set and its parameters.
        per_item: words that an image owns; rounded up to a multiple of 4.
    """
    first, per_item = int(ids.min()), -(-per_item // 4) * 4
    block = words("testsets", VERSION, *name, first=first, count=int(ids.max()) - first + 1, per_item=per_item)
    return block[ids - first]


def compare_with_pinned(subject: str, table: NDArray[np.integer], sha256: str | None) -> None:
    """Raise DataError if a table is not the one whose digest the spec pins; None pins nothing.

    Args:
        subject: what the table holds, for the message.
        table: as it was drawn or shipped.
        sha256: that the spec gives.
    """
    seen = array_sha256(table)
    if sha256 is not None and seen != sha256:
        raise DataError(f"the sha256 of {subject} is {seen[:16]}..., the spec pins {sha256[:16]}...; fix the spec")
