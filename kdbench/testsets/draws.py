"""Random words for single images, and the verification of tables that the spec pins."""

import numpy as np
from numpy.typing import NDArray

from kdbench.data.array_types import Integers
from kdbench.data.store import array_sha256
from kdbench.errors import DataError
from kdbench.randomness import Words, words

VERSION = 1  # of all test sets; raise it whenever a byte of any array is changed on purpose


def image_words(ids: Integers, *name: str | int, per_item: int) -> Words:
    """Return (n, per_item) random words for images, from the stream of a test set.

    The words of an image depend on its id alone, not on the other images that are drawn.

    Args:
        ids: (n,) non-negative, position of each image in the whole data set.
        *name: words and numbers that name the set and its parameters.
        per_item: number of words per image; rounded up to a multiple of 4.
    """
    first, per_item = int(ids.min()), -(-per_item // 4) * 4
    block = words("testsets", VERSION, *name, first=first, count=int(ids.max()) - first + 1, per_item=per_item)
    return block[ids - first]


def compare_with_pinned(subject: str, table: NDArray[np.integer], sha256: str | None) -> None:
    """Raise DataError if a table does not have the digest that the spec pins; None pins nothing.

    Args:
        subject: the name of the table, for the message.
        table: that was drawn or shipped.
        sha256: of the spec.
    """
    seen = array_sha256(table)
    if sha256 is not None and seen != sha256:
        raise DataError(f"the sha256 of {subject} is {seen[:16]}..., but the spec pins {sha256[:16]}...; fix the spec")
