"""Files as the timing suite writes them, with given times."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROUNDS = 15
SPREAD = (0.9, 1.0, 1.1)  # of the times of a step, round after round


def entry(
    method: str, seconds: float, *, bare_seconds: float = 0.1, direction: str = "cnn-to-vit", torch: str = "2.6.0"
) -> dict[str, Any]:
    """Return the entry of a step that takes `seconds` in the median of its rounds."""
    facts = {"method": method, "track": "synthetic", "direction": direction, "device": "cpu", "batch_size": 64}
    times = [seconds * SPREAD[number % len(SPREAD)] for number in range(ROUNDS)]
    return {
        "extra_info": {**facts, "torch": torch, "bare_seconds": [bare_seconds] * ROUNDS},
        "stats": {"data": times},
    }


def timing_bytes(entries: Sequence[dict[str, Any]], cpu: str = "a CPU") -> bytes:
    """Return the bytes of a timing file."""
    return json.dumps({"machine_info": {"cpu": {"brand_raw": cpu, "count": 2}}, "benchmarks": entries}).encode()


def timing_file(path: Path, *entries: dict[str, Any], cpu: str = "a CPU") -> Path:
    """Write a timing file and return its path."""
    path.write_bytes(timing_bytes(entries, cpu))
    return path
