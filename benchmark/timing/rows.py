"""The rows of the table of the GPU checks, and the measurement of times on a device."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import torch

from kdbench.training.stopwatch import Stopwatch

MARKS = {None: "", True: "pass", False: "MISS"}
WARM_UP_ROUNDS = 2


@dataclass(frozen=True)
class CheckRow:
    """One line of the table.

    Attributes:
        check: what was checked.
        result: in words.
        good: whether it passed; None where there is nothing to pass.
        facts: measured numbers by name, for later rows.
    """

    check: str
    result: str
    good: bool | None = None
    facts: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{MARKS[self.good]:4s} {self.check}: {self.result}"

    def as_json(self) -> str:
        """Return the row as one line, for another process."""
        return json.dumps(asdict(self))


def row_of(line: str) -> CheckRow | None:
    """Return the row that a process wrote as a line; None for a line that is something else."""
    try:
        values = json.loads(line)
        return CheckRow(**values) if isinstance(values, dict) else None
    except (ValueError, TypeError):
        return None


def guarded(check: str, rows: Callable[[], Iterable[CheckRow]]) -> Iterator[CheckRow]:
    """Yield the rows of a check or, if it raises an error, a row with the error, so that the script continues."""
    try:
        yield from rows()
    except Exception as error:
        message = (str(error).splitlines() or [""])[0]
        yield CheckRow(check, f"{type(error).__name__}: {message}", good=False)


def seconds(work: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Return the seconds per round of some work on the device, after two rounds of warm-up."""
    for _ in range(WARM_UP_ROUNDS):
        work()
    started = now(device)
    for _ in range(rounds):
        work()
    return (now(device) - started) / rounds


def now(device: torch.device) -> float:
    """Return seconds on a monotonic clock, after waiting for all work of the device."""
    return Stopwatch(device).now()


def matrix_peak(device: torch.device, side: int = 8192, rounds: int = 20) -> float:
    """Return the FLOP/s of a product of two square bfloat16 matrices of `side` rows."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, rounds, device)
