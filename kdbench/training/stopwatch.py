"""The only place that reads the clock for measured times."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def cpu_seconds() -> float:
    """Return the CPU time of this process so far, on all its threads together."""
    return time.process_time()


class Stopwatch:
    """Sums up the seconds of each part of a training.

    On CUDA, events time the parts, so that nothing waits for the device before `read`.

    Args:
        device: on which the training runs.
        seconds: of each part so far.
    """

    def __init__(self, device: torch.device, seconds: dict[str, float] | None = None) -> None:
        self._cuda = device.type == "cuda"
        self._paused = False
        self._seconds: defaultdict[str, float] = defaultdict(float, seconds or {})
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the enclosed block and add its seconds to `name`."""
        if self._paused:
            yield
            return
        if not self._cuda:
            start = time.perf_counter()
            yield
            self._seconds[name] += time.perf_counter() - start
            return
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        yield
        after.record()
        self._events.append((name, before, after))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time no part in the block; the parts of a captured step cannot be timed apart."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name] += seconds

    def now(self) -> float:
        """Return seconds on a monotonic clock, after waiting for all work of the device."""
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def glance(self) -> float:
        """Return seconds on the same clock without waiting for the device, for decisions that need no exact time."""
        return time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return the seconds of every part so far."""
        if self._events:
            torch.cuda.synchronize()
            for name, before, after in self._events:
                self._seconds[name] += before.elapsed_time(after) / 1000
            self._events.clear()
        return dict(self._seconds)
