"""Reads settings of methods: single values, and lists of values of which each is run."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

from kdbench.errors import InputError

Settings = Mapping[str, Any]
"""Values by key, for one row of a method."""

MOST_ROWS: Final = 1000  # per method


def read_sweeps(texts: Sequence[str], path: Path | None = None) -> dict[str, tuple[Settings, ...]]:
    """Return the settings to run, by the name of the method: all combinations of the values of its keys.

    Args:
        texts: as METHOD.KEY=VALUE, or METHOD.KEY=VALUE,VALUE,... for several values. A value is TOML, or plain text.
        path: TOML file with a table per method; a list gives several values. None for no file.

    Raises:
        InputError: a text or the file cannot be read, or a key or a value is given twice.
    """
    values: dict[str, dict[str, list[Any]]] = {}
    for origin, method, key, given in (*_of_texts(texts), *(_of_file(path) if path else ())):
        keys = values.setdefault(method, {})
        if key in keys:
            raise InputError(f"{method}.{key} is given twice, the second time by {origin}; give all its values at once")
        keys[key] = _distinct(given, f"{origin}: {method}.{key}")
    return {method: _combinations(method, keys) for method, keys in values.items()}


def _of_texts(texts: Sequence[str]) -> Iterator[tuple[str, str, str, list[Any]]]:
    for text in texts:
        target, equals, value = text.partition("=")
        method, dot, key = target.rpartition(".")
        if not (equals and dot and method and key):
            raise InputError(f"--config {text!r} is not METHOD.KEY=VALUE, for example lm.temperature=2")
        yield "--config", method, key, _values(value)


def _values(text: str) -> list[Any]:
    """Return the TOML values in a text that separates them by commas; a text that is not TOML is one value itself."""
    try:
        values = tomllib.loads(f"values = [{text}]")["values"]
    except (ValueError, RecursionError):
        return [text]
    return values if isinstance(values, list) and values else [text]


def _of_file(path: Path) -> Iterator[tuple[str, str, str, list[Any]]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--sweep {path} cannot be read: {error.strerror}; give the path of a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--sweep {path} is not TOML: {error}") from error
    for method, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(
                f"--sweep {path}: {method} = {table!r} is not a table of settings; write [{method}] and below it KEY = "
                "[VALUE, VALUE]"
            )
        for key, value in table.items():
            yield f"--sweep {path}", method, key, value if isinstance(value, list) else [value]


def _distinct(values: list[Any], what: str) -> list[Any]:
    if not values:
        raise InputError(f"{what} lists no value; give at least one")
    for place, value in enumerate(values):
        if any(value == earlier and type(value) is type(earlier) for earlier in values[:place]):
            raise InputError(f"{what} lists {value!r} twice; give each value once")
    return values


def _combinations(method: str, keys: Mapping[str, list[Any]]) -> tuple[Settings, ...]:
    combinations = [dict(zip(keys, chosen, strict=True)) for chosen in product(*keys.values())]
    if len(combinations) > MOST_ROWS:
        raise InputError(f"the settings of {method} make {len(combinations)} rows; allowed: at most {MOST_ROWS}")
    return tuple(combinations)
