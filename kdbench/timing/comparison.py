"""Compares the step times of two measurements, and says which steps got slower."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import InputError
from kdbench.timing.step_times import StepTime, Timings, in_words


@dataclass(frozen=True)
class TimingComparison:
    """What a comparison with a stored measurement gave.

    Only ratios to the bare step are compared, since seconds change with whatever else the machine does.

    Attributes:
        slower: a sentence for each step whose interval lies above its stored interval.
        notes: further sentences: what was compared, and what could not be.
    """

    slower: tuple[str, ...]
    notes: tuple[str, ...]


def compare(new: Timings, stored: Timings, path: Path) -> TimingComparison:
    """Compare each step with the stored one of the same track, direction, device kind, batch size and method.

    Args:
        new: the present measurement.
        stored: the earlier one.
        path: of the file that holds it, for messages.

    Raises:
        InputError: they have no step in common.
    """
    earlier = {_key(step): step for step in stored.steps}
    pairs = [(step, earlier[_key(step)]) for step in new.steps if _key(step) in earlier]
    if not pairs:
        raise InputError(f"{path} has none of the steps that were timed here; nothing can be compared")
    slower = tuple(_sentence(step, before, path) for step, before in pairs if is_slower(step, before))
    return TimingComparison(slower, tuple(_notes(new, stored, pairs, len(slower), path)))


def _key(step: StepTime) -> tuple[str, str, bool, int, str]:
    return step.track, step.direction, step.device == "cpu", step.batch_size, step.method


def is_slower(step: StepTime, before: StepTime) -> bool:
    """Return whether the interval of a step's ratio to the bare step lies above the stored interval."""
    return step.bare_steps.low > before.bare_steps.high


def _sentence(step: StepTime, before: StepTime, path: Path) -> str:
    return (
        f"{step.method} {step.direction} of {step.track} got slower: its step takes {in_words(step.bare_steps)} bare "
        f"steps, and took {in_words(before.bare_steps)} in {path}."
    )


def _notes(
    new: Timings, stored: Timings, pairs: Sequence[tuple[StepTime, StepTime]], slower: int, path: Path
) -> list[str]:
    notes = [f"{slower} of {len(pairs)} steps got slower than their intervals allow."]
    if left := len(new.steps) - len(pairs):
        notes.append(f"{left} steps are not in {path} and were not compared.")
    devices = {step.device for step, _ in pairs}, {before.device for _, before in pairs}
    if (new.machine, new.torch) != (stored.machine, stored.torch) or devices[0] != devices[1]:
        notes.append(
            f"{path} was measured elsewhere ({_place(stored, devices[1])}; here {_place(new, devices[0])}), and the "
            "ratios may differ between machines and versions of PyTorch."
        )
    return notes


def _place(timings: Timings, devices: set[str]) -> str:
    return ", ".join([timings.machine or "an unknown machine", f"PyTorch {timings.torch}", *sorted(devices)])
