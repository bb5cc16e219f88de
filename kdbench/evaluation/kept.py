"""Logits and occlusion maps that an evaluation writes next to the record. They can be computed again from weights."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kdbench.errors import describe_error
from kdbench.evaluation.answers import Logits
from kdbench.evaluation.occlusion import OcclusionMaps
from kdbench.files import DAMAGES, atomic_file
from kdbench.records import LOGITS, OCCLUSION

logger = logging.getLogger(__name__)


def write_logits(folder: Path, logits: Mapping[str, Logits]) -> None:
    """Write the logits of every test set into a run's folder, as float16."""
    with atomic_file(folder / LOGITS) as file:
        np.savez_compressed(file, **{name: values.astype(np.float16) for name, values in logits.items()})  # type: ignore[arg-type]


def read_logits(folder: Path) -> dict[str, Logits]:
    """Return the logits in a run's folder; empty if there are none or if they are damaged."""
    path = folder / LOGITS
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float32) for name in arrays.files}
    except DAMAGES as error:
        logger.warning("%s is damaged and not used: %s", path, describe_error(error))
        return {}


def write_maps(folder: Path, maps: OcclusionMaps) -> None:
    """Write occlusion maps into a run's folder, as float32."""
    with atomic_file(folder / OCCLUSION) as file:
        np.savez_compressed(file, maps=maps.astype(np.float32))


def read_maps(folder: Path) -> OcclusionMaps | None:
    """Return the occlusion maps in a run's folder; None if there are none or if they are damaged."""
    path = folder / OCCLUSION
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            maps: OcclusionMaps = arrays["maps"].astype(np.float64)
    except DAMAGES as error:
        logger.warning("%s is damaged and not used: %s", path, describe_error(error))
        return None
    return maps
