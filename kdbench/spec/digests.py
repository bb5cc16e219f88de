"""Digests of values, from which the ids of runs and the versions of tracks are made."""

import hashlib
import json


def digest(value: object) -> str:
    """Return the SHA-256, in hexadecimal, of a value's canonical JSON (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
