"""Random words of single images: what an image gets depends on its id alone, not on who else is drawn."""

import numpy as np
from numpy.typing import NDArray

from kdbench.randomness import Words, words

VERSION = 1  # of all test sets; raise it whenever a byte of any array changes on purpose

Integers = NDArray[np.int64]


def image_words(ids: Integers, *name: str | int, per_item: int) -> Words:
    """(n, per_item) random words of the images called `ids`, from the stream of a test set.

    Args:
        ids: (n,) non-negative, position of each image in the whole data set.
        *name: words and numbers that name the set and its parameters.
        per_item: words an image owns; rounded up to a multiple of 4.
    """
    first, per_item = int(ids.min()), -(-per_item // 4) * 4
    block = words("testsets", VERSION, *name, first=first, count=int(ids.max()) - first + 1, per_item=per_item)
    return block[ids - first]
