"""Reads a spec file, and says in a sentence what is wrong with one."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from kdbench.errors import SpecError
from kdbench.resources import shipped
from kdbench.spec.tracks import Spec, Track

SPEC_PATH = ("benchmark", "v1", "spec.toml")


@cache
def load_spec(path: Path | None = None) -> Spec:
    """Reads and validates a spec file; without a path, the shipped one.

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
        raise SpecError(f"spec {path}: {_in_words(error)}") from error


def _in_words(error: ValidationError) -> str:
    """One sentence for the first of pydantic's complaints; an unknown key before all that follows from it."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        model = _model_at(first["loc"][:-1])
        allowed = f"; allowed there: {', '.join(model.model_fields)}" if model else ""
        return f"unknown key {key}{allowed}{more}"
    if first["type"] == "missing":
        return f"key {key} is missing{more}"
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}{more}"
    return f"key {key} has the value {first['input']!r}: {first['msg']}{more}"


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model whose keys stand at a location of the spec, if it is one."""
    model: Any = Spec
    for part in location:
        if isinstance(part, int):
            continue
        if model is Spec and part == "tracks":
            model = "tracks"
        elif model == "tracks":
            model = Track
        elif isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type)]
            model = next((a for a in inner if issubclass(a, BaseModel)), None)
        else:
            return None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None
