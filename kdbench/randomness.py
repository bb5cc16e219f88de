"""Draws the random numbers for data, and derives seeds for training. No other module does.

A *stream* is a Philox counter-based generator whose key is the SHA-256 of its name. Item `i` of a stream has a fixed
block of 64-bit words. Its words therefore do not depend on the order of the items, the batch size or the process.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORDS_PER_COUNTER = 4
Words = NDArray[np.uint64]


def digest_of_name(*name: str | int) -> bytes:
    """Return the SHA-256 of a name that consists of words and numbers; distinct names have distinct digests."""
    return hashlib.sha256("\x1f".join(f"{type(part).__name__}:{part}" for part in name).encode()).digest()


def words(*name: str | int, first: int, count: int, per_item: int) -> Words:
    """Return the random words of items `first` to `first + count - 1` of the stream called `name`.

    Args:
        *name: words and numbers that name the stream.
        first: index of the first item.
        count: number of items.
        per_item: number of words per item, a multiple of 4. It is part of the name: another value gives other words.

    Returns:
        (count, per_item) uint64.
    """
    if per_item % _WORDS_PER_COUNTER:
        raise ValueError(f"per_item must be a multiple of {_WORDS_PER_COUNTER}, got {per_item}")
    key = np.frombuffer(digest_of_name(*name, per_item)[:16], dtype="<u8").astype(np.uint64)
    philox = np.random.Philox(key=key, counter=first * (per_item // _WORDS_PER_COUNTER))
    raw: Any = philox.random_raw(count * per_item)
    return np.asarray(raw, dtype=np.uint64).reshape(count, per_item)


def below(word: Words, bound: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integers in [0, bound) from random words, by a multiplication and a shift of their upper 32 bits.

    For the bounds in kdbench, the probabilities of the integers differ by less than 2**-22.
    """
    upper = word >> np.uint64(32)
    return ((upper * np.asarray(bound, dtype=np.uint64)) >> np.uint64(32)).astype(np.int64)


def permutations(word: Words) -> NDArray[np.int64]:
    """Return one permutation of range(k) per row of (n, k) words, by sorting them."""
    return np.argsort(word, axis=1, kind="stable").astype(np.int64)


def derangements(word: Words) -> NDArray[np.int64]:
    """Return one permutation per row that moves every element, uniform among the cyclic ones (Sattolo's algorithm).

    Args:
        word: (n, k) uint64, k at least 2.

    Returns:
        (n, k) int64; row r maps position p to `out[r, p]`, never p itself.
    """
    count, size = word.shape
    result = np.tile(np.arange(size), (count, 1))
    rows = np.arange(count)
    for last in range(size - 1, 0, -1):
        other = below(word[:, last], last)
        result[rows, last], result[rows, other] = result[rows, other], result[rows, last].copy()
    return result


def seed_of(*name: str | int) -> int:
    """Return a 63-bit seed for a torch generator, which depends only on the name."""
    return int.from_bytes(digest_of_name(*name)[:8], "little") >> 1
