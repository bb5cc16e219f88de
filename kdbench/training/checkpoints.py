"""A checkpoint: everything that a killed run needs to end with the weights of an unbroken one."""

import logging
from pathlib import Path
from typing import Any

import torch

from kdbench.files import atomic_file

CHECKPOINT = "checkpoint.pt"

logger = logging.getLogger(__name__)


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` with the random state of torch, atomically."""
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        random["cuda"] = torch.cuda.get_rng_state()
    with atomic_file(folder / CHECKPOINT) as file:
        torch.save({**state, "random": random}, file)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state saved last, after restoring torch's random state; None if there is none."""
    try:
        state: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
        random = state.pop("random")
    except FileNotFoundError:
        return None
    except Exception:  # what a damaged file raises depends on where it is damaged
        logger.warning("%s is damaged; the training starts anew", CHECKPOINT)
        return None
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    return state


def remove_checkpoint(folder: Path) -> None:
    (folder / CHECKPOINT).unlink(missing_ok=True)
