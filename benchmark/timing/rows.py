"""What the GPU checks are written in: rows of a table, and the clock that they read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from kdbench.training.stopwatch import Stopwatch

MARKS = {None: "", True: "good", False: "BAD"}
WARM_UP_ROUNDS = 2


@dataclass(frozen=True)
class Row:
    """One line of the table; `good` is None where there is nothing to pass."""

    check: str
    result: str
    good: bool | None = None

    def __str__(self) -> str:
        return f"{MARKS[self.good]:4s} {self.check}: {self.result}"


def guarded(check: str, rows: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    """The rows of a check; where it dies, a row that says why, and the script goes on."""
    try:
        yield from rows()
    except Exception as error:
        message = (str(error).splitlines() or [""])[0]
        yield Row(check, f"{type(error).__name__}: {message}", good=False)


def seconds(work: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Seconds of one round of some work on the device, after two to warm up."""
    for _ in range(WARM_UP_ROUNDS):
        work()
    started = now(device)
    for _ in range(rounds):
        work()
    return (now(device) - started) / rounds


def now(device: torch.device) -> float:
    """Seconds on a monotonic clock, with all work of the device done."""
    return Stopwatch(device).now()


def matrix_peak(device: torch.device, side: int = 8192, rounds: int = 20) -> float:
    """FLOP/s of a product of bfloat16 matrices with so many rows and columns."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, rounds, device)
