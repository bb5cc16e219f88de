"""Reading of spec files."""

import tomllib
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from kdbench.errors import SpecError, describe_invalid
from kdbench.resources import shipped
from kdbench.spec.tracks import Spec

SPEC_PATH = ("benchmark", "v1", "spec.toml")


@cache
def load_spec(path: Path | None = None) -> Spec:
    """Read and validate a spec file; without a path, the shipped one.

    Raises:
        SpecError: the file cannot be read, is not TOML, or a key is unknown, missing or of a wrong value.
    """
    path = path or shipped(*SPEC_PATH)
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise SpecError(f"spec {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"spec {path} is not TOML: {error}") from error
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        raise SpecError(f"spec {path}: {describe_invalid(error, Spec)}") from error
