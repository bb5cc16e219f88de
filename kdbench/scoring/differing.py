"""Names the settings in which rows of one method differ."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from kdbench.scoring.scores import Row


def with_differing_settings(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows of a board, each with the settings in which it differs from other rows of its method."""
    by_method: dict[tuple[str, str], list[Mapping[str, object]]] = defaultdict(list)
    for row in rows:
        by_method[row.method, row.family].append(row.config)
    return tuple(_named(row, by_method[row.method, row.family]) for row in rows)


def _named(row: Row, configs: Sequence[Mapping[str, object]]) -> Row:
    differing = tuple(
        f"{key}={_short(value)}"
        for key, value in row.config.items()
        if any(config.get(key) != value for config in configs)
    )
    return row.model_copy(update={"differing": differing}) if differing else row


def _short(value: object) -> str:
    """Return a value as it is written in TOML, a whole number without a fraction."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
