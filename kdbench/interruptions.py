"""Interruptions with Ctrl-C: what is said then, and how processes are started that do not hear them."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INTERRUPTED: Final = "kdbench: interrupted; give the same command again to go on"
INTERRUPTED_EXIT_CODE: Final = 130  # as shells have it: 128 and the number of the signal


@contextmanager
def interruption_held_back() -> Iterator[None]:
    """Let an interruption reach this process only afterwards, and never a process that is started meanwhile.

    A process that is interrupted while it imports would print where it was.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
