"""Reads the benchmark's spec. The kinds that make its test sets check their parameters."""

from functools import cache
from pathlib import Path

from kdbench.errors import SpecError
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH, Spec, Track, read_spec
from kdbench.testsets.kinds import check_parameters


@cache
def load_spec(path: Path | None = None) -> Spec:
    """Return the spec in a file; without a path, the shipped spec.

    Raises:
        SpecError: the file cannot be read or is not TOML, or a key is unknown, is missing or has a wrong value.
    """
    return read_spec(path or shipped(*SPEC_PATH), _check_test_sets)


def _check_test_sets(track: Track) -> None:
    if track.data.source == "folder":
        raise SpecError("data.source: 'folder' is for `kdbench profile --data`; use 'cifar10'")
    for test_set in track.test_sets:
        check_parameters(test_set, track.data)
