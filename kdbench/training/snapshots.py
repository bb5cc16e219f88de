"""Weights that are kept during a training, so that earlier states of the student can be evaluated."""

from pathlib import Path


def snapshot_steps(total_steps: int, count: int) -> tuple[int, ...]:
    """Return the updates after which weights are kept; the last one is the end of the training.

    Snapshot k of `count` is taken after (k / count)^2 of the updates: they are close together at first, where accuracy
    rises fast.
    """
    return tuple(max(1, round(total_steps * (number / count) ** 2)) for number in range(1, count + 1))


def snapshot_path(folder: Path, number: int) -> Path:
    """Return the file of a snapshot's weights; `number` counts from 1."""
    return folder / f"snapshot-{number}.safetensors"
