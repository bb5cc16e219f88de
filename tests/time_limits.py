"""A limit on the time of a block of a test, which is interrupted where it takes longer."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlow(Exception):
    """A block took longer than it may."""


@contextmanager
def within_seconds(seconds: int) -> Iterator[None]:
    """Raise `TooSlow` in a block that takes longer; for the main thread of a process."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
