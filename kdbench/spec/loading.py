"""Reads and validates spec files."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from kdbench.errors import SpecError, describe_invalid
from kdbench.spec.tracks import Spec, Track

SPEC_PATH = ("benchmark", "v1", "spec.toml")
"""The shipped spec, for `kdbench.resources.shipped`."""


def read_spec(path: Path, check: Callable[[Track], None]) -> Spec:
    """Read and validate a spec file. Call it through `kdbench.testsets.spec.load_spec`.

    Args:
        path: of the file.
        check: raises SpecError if the test sets of a track have wrong parameters. The code that makes a test set knows
            which parameters it may have, and this package may not import that code.

    Raises:
        SpecError: the file cannot be read or is not TOML, or a key is unknown, is missing or has a wrong value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpecError(f"spec {path} cannot be read: {error.strerror}; give the path of a spec file") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"spec {path} is not TOML: {error}; fix the file") from error
    try:
        spec = Spec.model_validate(raw)
    except ValidationError as error:
        raise SpecError(f"spec {path}: {describe_invalid(error, Spec)}") from error
    for track in spec.tracks.values():
        try:
            check(track)
        except SpecError as error:
            raise SpecError(f"spec {path}: tracks.{track.name}: {error}") from error
    return spec
