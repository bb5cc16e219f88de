"""A checkpoint: everything that a killed run needs to end with the weights of an unbroken one."""

from pathlib import Path
from typing import Any

import torch

from kdbench.files import atomic_file
from kdbench.records import Budget
from kdbench.training.outcome import Tally, TrainingOutcome, timing_of

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` with the random state of torch, atomically."""
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        random["cuda"] = torch.cuda.get_rng_state()
    with atomic_file(folder / CHECKPOINT) as file:
        torch.save({**state, "random": random}, file)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state saved last, after restoring torch's random state; None if there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    random = state.pop("random")
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    return state


def tally_of_checkpoint(folder: Path) -> Tally:
    """Return what a training that was killed had counted when it saved last; an empty tally if it never did."""
    path = folder / CHECKPOINT
    if not path.exists():
        return Tally()
    state = torch.load(path, weights_only=True, map_location="cpu", mmap=True)  # no weight is read
    return Tally(
        TrainingOutcome(
            status="error",
            budget=Budget(**state["counts"]),
            timing=timing_of(state["seconds"], state["epoch_seconds"], state["epoch_elapsed"]),
            peak_memory_bytes=state.get("peak_memory_bytes", 0),  # not there in checkpoints of earlier versions
            parameters=state.get("parameters", 0),
            curves=tuple(state["curves"]),
        )
    )


def remove_checkpoint(folder: Path) -> None:
    (folder / CHECKPOINT).unlink(missing_ok=True)
