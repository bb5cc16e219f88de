"""Reads the benchmark's spec, whose test sets are checked by the code that makes them."""

from functools import cache
from pathlib import Path

from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH, Spec, Track, read_spec
from kdbench.spec.parameters import complaint


@cache
def load_spec(path: Path | None = None) -> Spec:
    """Return the spec in a file; without a path, the shipped one.

    Raises:
        SpecError: the file cannot be read, is not TOML, or a key is unknown, missing or of a wrong value.
    """
    return read_spec(path or shipped(*SPEC_PATH), complaint_about)


def complaint_about(track: Track) -> str:
    """Say what is wrong with the parameters of a track's test sets; empty if nothing is."""
    generated, resized = track.data.source == "synthetic", track.data.resize is not None
    for test_set in track.test_sets:
        if reason := complaint(test_set.axis, test_set.parameters, generated=generated, resized=resized):
            return f"test_sets: parameters of {test_set.name}: {reason}"
    return ""
