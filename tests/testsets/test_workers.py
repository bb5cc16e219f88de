"""The processes that build test sets."""

import signal

import numpy as np
from numpy.typing import NDArray

from kdbench.testsets.workers import CHUNK, start_workers


def is_deaf(images: NDArray[np.uint8]) -> bool:
    """Return whether this process hears no interruptions; the images do not matter."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_interruption_reaches_the_command_and_not_its_workers() -> None:
    with start_workers(2, 2 * CHUNK, None) as workers:
        assert workers.run("clean", is_deaf, (np.zeros((2, 1), np.uint8),), {}) == [True]
    assert not is_deaf(np.zeros((1, 1), np.uint8))
