"""Notices how a method uses `run.progress`, `run.epoch` and `run.step`, whose values a capture would freeze."""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Condition = tuple[str, str, float, bool]
"""Name of a number, comparison, the number that it was compared with, and the result."""

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
ALONE = ("neg", "pos", "abs", "index", "bool", "int", "float", "round", "trunc", "floor", "ceil")


class Readings:
    """Passes numbers of a run on to its method and, while watching, notes what the method does with them.

    Attributes:
        used: names of the numbers whose values the method used other than in comparisons, since `watching` began.
        conditions: the comparisons since then.
    """

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.conditions: set[Condition] = set()
        self._watched_step: int | None = None

    def read(self, name: str, value: float, step: int) -> Any:
        """Return a number that the method reads; while watching, an object that notes its use.

        Args:
            name: of the number.
            value: of the number.
            step: number of finished updates; conditions are judged before a step, so a number that is read after the
                update of its step counts as used.
        """
        if self._watched_step is None:
            return value
        if step != self._watched_step:
            self.used.add("step")
        return WatchedNumber(self, name, value)

    def changing(self) -> str | None:
        """Return a number that was used and that changes in each step; None if none was."""
        return next(iter(sorted(self.used - {"epoch"})), None)

    @contextmanager
    def watching(self, step: int) -> Iterator[None]:
        """Forget all notes, and note in the block every use of a number, after `step` finished updates."""
        self.used.clear()
        self.conditions.clear()
        self._watched_step = step
        try:
            yield
        finally:
            self._watched_step = None


class WatchedNumber:
    """A number that notes its use. It is no float, because functions written in C read a float unnoticed.

    Args:
        readings: where to note.
        name: of the number.
        value: an int or a float.
    """

    def __init__(self, readings: Readings, name: str, value: float) -> None:
        self._readings, self._name, self._value = readings, name, value

    def _use(self) -> float:
        self._readings.used.add(self._name)
        return self._value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._use(), name)

    def __hash__(self) -> int:
        return hash(self._use())

    def __repr__(self) -> str:
        return repr(self._use())

    def __format__(self, spec: str) -> str:
        return format(self._use(), spec)

    def _compare(self, comparison: str, other: Any) -> Any:
        compare = getattr(operator, comparison)
        if type(other) not in (int, float):
            return compare(self._use(), other)
        result = compare(self._value, other)
        self._readings.conditions.add((self._name, comparison, other, result))
        return result


def _comparing(name: str) -> Callable[[WatchedNumber, Any], Any]:
    return lambda number, other: number._compare(name, other)


def _using(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda number, *others: function(number._use(), *others)


def _swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda number, other: function(other, number._use())


def _of_type(name: str) -> Callable[..., Any]:
    """Return the special method of int or float, whichever the number is."""
    return lambda value, *others: getattr(value, f"__{name}__")(*others)


for _name in COMPARISONS:
    setattr(WatchedNumber, f"__{_name}__", _comparing(_name))
for _name in ARITHMETIC:
    setattr(WatchedNumber, f"__{_name}__", _using(getattr(operator, _name)))
    setattr(WatchedNumber, f"__r{_name}__", _swapped(getattr(operator, _name)))
for _name in ALONE:
    setattr(WatchedNumber, f"__{_name}__", _using(_of_type(_name)))


def still_hold(conditions: set[Condition], run: Any) -> bool:
    """Return whether every comparison still has the same result for the present numbers of a run."""
    return all(
        getattr(operator, comparison)(getattr(run, name), other) == result
        for name, comparison, other, result in conditions
    )
