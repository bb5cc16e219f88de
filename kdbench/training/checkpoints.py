"""A checkpoint: everything that a killed run needs to end with the weights of an unbroken one."""

from pathlib import Path
from typing import Any

import torch

from kdbench.records import atomic_file

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Writes `state` with the random state of torch, atomically."""
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        random["cuda"] = torch.cuda.get_rng_state()
    with atomic_file(folder / CHECKPOINT) as file:
        torch.save({**state, "random": random}, file)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state saved last, with torch's random state restored; None if there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    random = state.pop("random")
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    return state


def remove_checkpoint(folder: Path) -> None:
    (folder / CHECKPOINT).unlink(missing_ok=True)
