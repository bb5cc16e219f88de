"""The `run` argument of a method: it offers what `kdbench.api.Run` names, and nothing else of the harness."""

from collections.abc import Iterator
from typing import NoReturn, cast

from torch import Tensor

from kdbench.api import Batch, Losses, Output, Run
from kdbench.training.capture.readings import Readings
from kdbench.training.tripwires import Tripwires

NAMES = tuple(sorted(name for name in vars(Run) if not name.startswith("_")))


class MethodRun:
    """Passes the calls of a method to the harness, and lets the tripwires check the rules at every call.

    Args:
        harness: executes the calls.
        tripwires: check at every call whether the method has kept the rules.
        readings: notices what the method does with the numbers of the run.
    """

    __slots__ = ("_harness", "_readings", "_tripwires")

    def __init__(self, harness: Run, tripwires: Tripwires, readings: Readings) -> None:
        self._harness, self._tripwires, self._readings = harness, tripwires, readings

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"`run` has no {name!r}; a method may use {', '.join(NAMES)}")

    @property
    def progress(self) -> float:
        return cast(float, self._readings.read("progress", self._harness.progress, self._harness.step))

    @property
    def epoch(self) -> int:
        return cast(int, self._readings.read("epoch", self._harness.epoch, self._harness.step))

    @property
    def step(self) -> int:
        return cast(int, self._readings.read("step", self._harness.step, self._harness.step))

    def student_forward(self, images: Tensor) -> Output:
        with self._tripwires.harness_at_work():
            return self._harness.student_forward(images)

    def teacher_forward(self, images: Tensor) -> Output:
        with self._tripwires.harness_at_work():
            return self._harness.teacher_forward(images)

    def ema_forward(self, images: Tensor) -> Output:
        with self._tripwires.harness_at_work():
            return self._harness.ema_forward(images)

    def batches(self, n: int) -> Iterator[Batch]:
        drawn = self._harness.batches(n)
        while True:
            with self._tripwires.harness_at_work():
                batch = next(drawn, None)
            if batch is None:
                return
            self._tripwires.hand_over(batch)
            yield batch

    def backward_and_step(self, losses: Losses) -> None:
        with self._tripwires.harness_at_work():
            self._harness.backward_and_step(losses)

    def log(self, **scalars: float | Tensor) -> None:
        self._harness.log(**scalars)
