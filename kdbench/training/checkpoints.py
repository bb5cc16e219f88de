"""Checkpoints: everything that a killed run needs to resume and end with the weights of an uninterrupted run."""

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
    """Return the last saved state, after restoring the random state of torch; None if there is no checkpoint."""
    before = torch.get_rng_state()
    try:
        state: dict[str, Any] = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")
        random = state.pop("random")
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and torch.cuda.is_available():
            torch.cuda.set_rng_state(random["cuda"])
    except FileNotFoundError:
        return None
    except Exception:  # the type of the error depends on which part of the file is damaged
        logger.warning("%s is damaged; the training starts from the beginning", CHECKPOINT)
        torch.set_rng_state(before)
        return None
    return state


def remove_checkpoint(folder: Path) -> None:
    (folder / CHECKPOINT).unlink(missing_ok=True)
