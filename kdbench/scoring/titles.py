"""Names the rows of a board so that no two of them look alike."""

from collections.abc import Sequence

from kdbench.scoring.scores import Row

_DIGITS = 8  # of the digest of a method's code


def row_titles(rows: Sequence[Row]) -> list[str]:
    """Return the title of each row. Rows with one title get the settings that differ, and digits of their code."""
    return [_title(row, [other for other in rows if _looks_like(other, row)]) for row in rows]


def _looks_like(other: Row, row: Row) -> bool:
    return (other.kind, other.family, other.title) == (row.kind, row.family, row.title)


def _title(row: Row, alike: Sequence[Row]) -> str:
    """Return the title of a row among those that it shares its own with, itself included."""
    differing = [key for key, value in row.config.items() if any(other.config.get(key) != value for other in alike)]
    marks = [f"{key}={row.config[key]}" for key in differing]
    if len({other.code for other in alike if other.config == row.config}) > 1:
        marks.append(f"code {row.code[:_DIGITS]}")
    return f"{row.title} ({', '.join(marks)})" if marks else row.title
