"""Reads the values of options: a wrong one is refused in a sentence that names it and says what is allowed."""

import re
from collections.abc import Callable, Sequence
from math import inf

from kdbench.errors import InputError


def whole_number(option: str, *, least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a function that reads the whole number in the value of an option.

    Args:
        option: its name, for the message.
        least: the smallest number that is allowed.
        most: the largest one; None for no limit.
    """

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= (inf if most is None else most):
            raise InputError(f"{option} {text!r} is not allowed; give a whole number {_range(least, most)}")
        return number

    return read


def number(option: str, *, least: float) -> Callable[[str], float]:
    """Return a function that reads the number, `least` or larger and finite, in the value of an option."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = inf
        if not least <= value < inf:
            raise InputError(f"{option} {text!r} is not allowed; give a number {_range(least, None)}")
        return value

    return read


def one_of(option: str, choices: Sequence[str]) -> Callable[[str], str]:
    """Return a function that reads one of several words in the value of an option."""

    def read(text: str) -> str:
        if text not in choices:
            raise InputError(f"{option} {text!r} is not allowed; give one of: {', '.join(choices)}")
        return text

    return read


def sha256_digest(option: str) -> Callable[[str], str]:
    """Return a function that reads a SHA-256 in the value of an option."""

    def read(text: str) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
            raise InputError(f"{option} {text!r} is not a SHA-256; give its 64 hexadecimal digits")
        return text.lower()

    return read


def _range(least: float, most: float | None) -> str:
    return f"of at least {least:g}" if most is None else f"from {least:g} to {most:g}"
