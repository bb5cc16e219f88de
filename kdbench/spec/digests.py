"""Digests of values, which identify runs and the versions of tracks."""

import hashlib
import json


def digest(value: object) -> str:
    """Return the SHA-256, in hexadecimal, of a value's canonical JSON (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
